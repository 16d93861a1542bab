# Ruby: exceptions, fibers, threads, Ractors, garbage collection, big numbers, extensions (json, zlib, digest, openssl, psych, socket, etc).
require 'json'; require 'zlib'; require 'digest'; require 'openssl'; require 'yaml'; require 'socket'; require 'set'; require 'stringio'; require 'tempfile'; require 'open3'; require 'bigdecimal'; require 'timeout'; require 'date'; require 'ripper'; require 'io/console'; require 'fiddle'; require 'etc'; require 'monitor'; require 'erb'
$stdout.sync = true
def deep(n) = n.zero? ? raise(ArgumentError, 'deep') : deep(n - 1)
begin; deep(500); rescue ArgumentError => e; puts "#{e.message} #{e.backtrace.size > 400}"; ensure puts 'ensure'; end
begin; 1 / 0; rescue ZeroDivisionError => e; puts e.message; end
begin; nil.foo; rescue NoMethodError => e; puts e.message[0, 30]; end
def forever(n) = forever(n + 1) + 1
begin; forever(0); rescue SystemStackError => e; puts e.message; end
puts catch(:done) { 10.times { |i| 10.times { |j| throw :done, i * j if i * j == 42 } }; :none }
x = [1, 2, 3].each do |i| break i * 10 if i == 2 end
puts x, [3, 1, 2].sort { |a, b| b <=> a }.inspect, (1..Float::INFINITY).lazy.map { _1 * 2 }.select { _1 % 3 == 0 }.first(3).inspect
f = Fiber.new { |a| b = Fiber.yield(a + 1); Fiber.yield(b * 2); :end }
p f.resume(1), f.resume(10), f.resume, f.alive?
fibers = 200.times.map { |i| Fiber.new { 3.times { |j| Fiber.yield i + j }; i } }
puts 4.times.sum { fibers.sum(&:resume) }
e = Enumerator.new { |y| a, b = 0, 1; loop { y << a; a, b = b, a + b } }
p e.take(15), e.next, e.next, e.peek
p 2**200, 100.downto(1).inject(:*).to_s.size, 7**-2, 10.pow(50, 97), (3**200).digits.sum, Integer.sqrt(10**30), 0.1 + 0.2, 1e23, -7 / 2, -7 % 3, 1.0.next_float, Rational(3, 4) + 1, Complex(1, 2)**2, 12345.678.round(-2), 255.to_s(2)
puts BigDecimal('2').sqrt(40).to_s[0, 40], format('%08.3f|%-5s|%x|%e|%+d', 3.14159, 'ab', 255, 12345.678, 5)
h = Hash.new(0); seed = 1; 20000.times { seed = (seed * 1103515245 + 12345) & 0x7fffffff; h[seed % 100] += 1 }
p h.size, h.max_by { |k, v| [v, k] }, h.sort.first(2), Set.new([1, 2]) | [3]
text = 'compress me; ' * 3000
z = Zlib.deflate(text, 9); p z.size, Zlib.inflate(z) == text, Zlib.crc32(text), Digest::MD5.hexdigest(text), Digest::SHA256.hexdigest(text), OpenSSL::HMAC.hexdigest('SHA1', 'k', text), OpenSSL::Digest.new('SHA3-256').hexdigest(text)
c = OpenSSL::Cipher.new('aes-256-gcm').encrypt; c.key = 'k' * 32; c.iv = 'i' * 12; p (c.update(text) + c.final).size, c.auth_tag.unpack1('H*')
key = OpenSSL::PKey::RSA.new(1024); p key.verify('SHA256', key.sign('SHA256', text), text), OpenSSL::BN.new('123456789').mod_exp(65537, 1000000007).to_s
p JSON.parse('{"a":[1,2.5,null,"\u00e4"]}'), JSON.generate({ 'x' => [1, nil, 'ü'] }), YAML.load("a: [1, 2]\nb: {c: d}\n"), { 'k' => [1, 'two'] }.to_yaml
begin; JSON.parse('{bad'); rescue JSON::ParserError; puts 'parse error'; end
p 'héllo wörld'.scan(/\w+/), 'a1b22'.gsub(/\d+/) { |m| (m.to_i * 2).to_s }, 'foo.bar' =~ /(?<x>o+)\.(?<y>\w)/, $~[:y], '日本語'.bytes.size, '日本語'.reverse, 'straße'.upcase, 'x'.encode('UTF-16LE').bytes, "a\u0301".unicode_normalize(:nfc).size, [1, 2, 3].pack('Cn*'), 'abc'.unpack('C*')
p Date.new(2024, 2, 29) + 366, Time.at(1700000000).utc.strftime('%F %T %j'), Ripper.sexp('1+1').flatten.size, ERB.new('<% 3.times do |i| %><%= i %>,<% end %>').result
q = Queue.new; m = Mutex.new; total = 0
ts = 4.times.map { Thread.new { while (v = q.pop) != :stop; m.synchronize { total += v }; end; Thread.current[:x] = 1; :ok } }
500.times { q << _1 }; 4.times { q << :stop }; p ts.map(&:value), total
t = Thread.new { raise 'in a thread' }; t.report_on_exception = false; begin; t.join; rescue => e; puts e.message; end
begin; Timeout.timeout(0.01) { loop {} }; rescue Timeout::Error; puts 'timeout'; end
cv = ConditionVariable.new; ready = false; c = Thread.new { m.synchronize { cv.wait(m) until ready; :woken } }; m.synchronize { ready = true; cv.signal }; p c.value
GC.stress = true; a = 20.times.map { |i| 'x' * i }; GC.stress = false; GC.start; GC.compact if GC.respond_to?(:compact); p a.sum(&:size)
big = 200_000.times.map { |i| [i, i.to_s] }; p big.sum { _1[1].size }, ObjectSpace.each_object(Class).count > 100; ObjectSpace.garbage_collect
r, w = IO.pipe; pid = fork { r.close; w.puts 'child'; exit!(7) }; w.close; p r.read, Process.wait2(pid)[1].exitstatus
p `echo from the shell; exit 3`, $?.exitstatus, Open3.capture3('tr a-z A-Z; echo err >&2', stdin_data: 'text').then { |out, err, status| [out, err, status.exitstatus] }
server = TCPServer.new('127.0.0.1', 0); s = Thread.new { 3.times { c = server.accept; c.puts c.gets.upcase; c.close } }
3.times { |i| TCPSocket.open('127.0.0.1', server.addr[1]) { |c| c.puts "line #{i}"; puts c.gets } }; s.join
a, b = UNIXSocket.pair; a.write('pair'); a.close; p b.read, IO.select([b], nil, nil, 0)&.first&.size
Tempfile.create('rb') { |f| 1000.times { f.puts _1 }; f.flush; f.seek(10); p f.size, f.gets, File.stat(f.path).file?, IO.readlines(f.path).size }
begin; File.open('/nonexistent'); rescue Errno::ENOENT => e; puts e.message; end
libm = Fiddle.dlopen('libm.so.6'); p Fiddle::Function.new(libm['pow'], [Fiddle::TYPE_DOUBLE] * 2, Fiddle::TYPE_DOUBLE).call(2.0, 10.0)
cmp = Class.new(Fiddle::Closure) { def call(a, b) = a[0, 4].unpack1('l') - b[0, 4].unpack1('l') }.new(Fiddle::TYPE_INT, [Fiddle::TYPE_VOIDP] * 2)
v = Fiddle::Pointer[[5, 2, 9, 1].pack('l*')]; Fiddle::Function.new(Fiddle.dlopen(nil)['qsort'], [Fiddle::TYPE_VOIDP, Fiddle::TYPE_SIZE_T, Fiddle::TYPE_SIZE_T, Fiddle::TYPE_VOIDP], Fiddle::TYPE_VOID).call(v, 4, 4, cmp); p v[0, 16].unpack('l*')
Signal.trap('USR1') { puts 'signal' }; Process.kill('USR1', $$); sleep 0.01
p callcc_free = binding.local_variables.size > 5, ObjectSpace.count_objects[:TOTAL] > 0, __method__.inspect, RUBY_ENGINE, [1, [2, [3]]].then { |(a, (b, c))| [a, b, c] }
case { name: 'x', list: [1, 2, 3] }
in { name: String => n, list: [first, *rest] } then p n, first, rest
end
w = Warning[:experimental] = false; p 3.times.map { |i| Ractor.new(i) { |n| (1..1000).sum * n } }.map(&:take)
at_exit { puts 'at exit' }; exit 6
