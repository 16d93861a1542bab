# Perl with XS modules: List::Util, Storable, Digest, Encode, POSIX, Socket, Compress::Zlib, threads, DB_File-free DBI (SQLite), JSON.
use strict; use warnings; use utf8; use feature qw(say state);
use List::Util qw(sum shuffle reduce first max uniq pairs); use Scalar::Util qw(blessed weaken reftype dualvar looks_like_number);
use Data::Dumper; use Storable qw(freeze thaw dclone); use Digest::MD5 qw(md5_hex); use Digest::SHA qw(sha256_hex sha512_base64 hmac_sha1_hex);
use MIME::Base64; use Encode; use POSIX qw(floor strftime fmod :sys_wait_h strtol); use Time::HiRes qw(sleep time); use Socket; use IO::Socket::INET;
use Compress::Zlib; use IO::Uncompress::Bunzip2; use IO::Compress::Bzip2 qw(bzip2); use Math::BigInt; use Math::BigFloat; use Unicode::Normalize; use Fcntl qw(:flock SEEK_SET);
use File::Temp qw(tempdir); use File::Find; use Cwd; use Sys::Hostname; use Tie::Hash::NamedCapture; use Hash::Util qw(lock_keys); use PerlIO::scalar; use B ();
use threads; use threads::shared; use Thread::Queue; use IPC::Open3; use DBI; use JSON::XS; use Errno qw(ENOENT);
binmode STDOUT, ':utf8'; $| = 1; $Data::Dumper::Sortkeys = 1; $Data::Dumper::Indent = 1;

say sum(1 .. 100), ' ', (reduce { $a * $b } 1 .. 10), ' ', first { $_ > 5 } (1 .. 10);
my $d = { a => [1, { b => undef }], c => \"s", n => 1.5 };
print Dumper(dclone($d)); say md5_hex(freeze([1 .. 10])) ne '';
my $text = join ',', map { $_ * $_ % 97 } 1 .. 20000;
say md5_hex($text), ' ', sha256_hex($text), ' ', sha512_base64($text), ' ', hmac_sha1_hex($text, 'key'), ' ', crc32($text);
my $z = compress($text); say length $z, ' ', uncompress($z) eq $text; bzip2(\$text, \my $bz); say length $bz;
say encode_base64('text', ''), ' ', length(encode('UTF-16LE', 'süß')), ' ', decode('iso-8859-15', "\xa4"), ' ', NFD('é') eq "e\x{301}", ' ', lc 'ÄÖ', ' ', ucfirst 'ñandú';
say floor(-2.5), ' ', fmod(7, 3), ' ', (strtol('ff', 16))[0], ' ', strftime('%Y-%m-%d %j', gmtime 1700000000), ' ', 10 ** 20, ' ', 1 / 3, ' ', 9223372036854775807 + 0, ' ', -7 % 3, ' ', int(1e15 / 7);
say Math::BigInt->new(2)->bpow(300), ' ', Math::BigFloat->new(2)->bsqrt(50), ' ', Math::BigInt->new('123456789' x 5)->bmodpow(65537, '1000000007');
eval { die { code => 7 } }; say $@->{code}; eval { my $x = 1 / 0; }; print $@; eval { undef->method }; print $@; eval { my %h = (a => 1); lock_keys(%h); $h{b} = 1 }; print $@;
{ local $SIG{__DIE__} = sub { print "hook: @_" }; eval { die "dies\n" } } { local $SIG{ALRM} = sub { die "alarm\n" }; eval { Time::HiRes::alarm(0.003); 1 while 1 }; print $@ }
say join '|', 'aXbXc' =~ /(\w)X(?<mid>\w)X(?=c)/, $+{mid}; (my $t = 'hello world') =~ s/(\w+)/\u$1/g; say $t; say join ',', map { sprintf '%02x', $_ } unpack 'C*', pack 'nNvVdw', 1, 2, 3, 4, 1.5, 300;
my $re = qr/^(\((?:[^()]++|(?1))*\))$/; say '(a(b)(c(d)))' =~ $re ? 'balanced' : 'no'; say(('a' x 28) =~ /^(a|aa)+$/ ? 1 : 0); say 'ΑΒΓ' =~ /αβγ/i ? 1 : 0; say sprintf '%vd %s %e %.10g %b', '1.22.333', 'x', 12345.678, 1e10 / 3, 10;
my $deep = 0; sub deep { no warnings 'recursion'; $_[0] ? 1 + deep($_[0] - 1) : 0 } say deep(20000);
say join ' ', sort { $a <=> $b } grep { !($_ & 1) } map { ($_ * 7919) % 1009 } 1 .. 20; my %h = map { $_ => $_ ** 2 } 1 .. 1000; say sum(values %h); say join ',', (sort { $h{$b} <=> $h{$a} || $a cmp $b } keys %h)[0 .. 2];
my $dir = tempdir(CLEANUP => 1); for my $i (1 .. 5) { open my $f, '>:utf8', "$dir/f$i" or die; flock $f, LOCK_EX; print $f "ü$i\n" x $i; close $f } my $size = 0; find(sub { $size += -s if -f }, $dir); say $size; say open(my $n, '<', '/nonexistent') ? 1 : "$! " . ($!{ENOENT} ? 1 : 0);
open my $s, '<', \"in memory\nlines\n"; my @l = <$s>; say scalar @l; printf "%s %d\n", `echo from the shell; exit 3` =~ s/\n//r, $? >> 8; open my $p, '|-', 'tr a-z A-Z' or die; print $p "piped\n"; close $p;
my $pid = fork // die; if (!$pid) { exit sum(map { $_ % 3 } 1 .. 50) & 63 } waitpid $pid, 0; say $? >> 8; pipe my $r, my $w; if (!($pid = fork)) { close $r; print $w "child $_\n" for 1 .. 3; close $w; POSIX::_exit(0) } close $w; print while <$r>; waitpid $pid, 0;
my $q = Thread::Queue->new; my $total : shared = 0; my @t = map { threads->create(sub { while (defined(my $x = $q->dequeue)) { lock $total; $total += $x } return threads->tid > 0 }) } 1 .. 3; $q->enqueue($_) for 1 .. 300; $q->end; say sum(map { $_->join } @t), " $total";
my $server = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die; my $port = $server->sockport; if (!($pid = fork)) { my $c = $server->accept; print $c uc while <$c>; exit } my $c = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die; print $c "over tcp\n"; $c->shutdown(1); print <$c>; waitpid $pid, 0;
my $db = DBI->connect('dbi:SQLite:dbname=:memory:', '', '', { RaiseError => 1, PrintError => 0 }); $db->do('create table t(a, b)'); my $i = $db->prepare('insert into t values(?, ?)'); $i->execute($_, "n$_") for 1 .. 500; $db->sqlite_create_function('twice', 1, sub { 2 * $_[0] }); say join ',', $db->selectrow_array('select count(*), sum(twice(a)), max(b) from t'); eval { $db->do('select nope') }; say $@ =~ /no such column/ ? 'caught' : $@;
my $j = JSON::XS->new->canonical->pretty; print $j->encode({ a => [1, 2.5, "ü", undef, \1], b => { c => -1e30 } }); say $j->decode('{"x":[1,{"y":"\u00e4"}]}')->{x}[1]{y}; eval { $j->decode('{bad') }; say $@ =~ /^(.{20})/;
{ package Counter; my $n = 0; sub new { $n++; bless {}, shift } sub DESTROY { $n-- } sub n { $n } } { my $a = Counter->new; my $b = { o => Counter->new }; $b->{me} = $b; weaken $b->{me} } say Counter::n();
local $SIG{USR1} = sub { say 'signal' }; kill USR1 => $$; say "done"; exit 5;
