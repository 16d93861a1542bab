# Tcl: exceptions, coroutines, objects, big numbers, channels, processes, events, child interpreters, zlib.
proc deep n { if {$n == 0} { error "deep" "" {CUSTOM 7} } else { deep [expr {$n - 1}] } }
try { deep 200 } trap {CUSTOM} {message options} { puts "$message [dict get $options -errorcode]" } finally { puts finally }
puts [catch {expr {1 / 0}} message],$message
puts [catch {nosuch} message],$message
proc forever {} { forever }
puts [catch forever message],$message

proc numbers {} { yield; for {set i 0} {1} {incr i} { yield [expr {$i * $i}] } }
coroutine next numbers
puts [list [next] [next] [next] [next]]
proc walk tree { foreach e $tree { if {[llength $e] > 1} { walk $e } else { yield $e } } ; return -level 0 done }
coroutine leaves apply {{} { yield; walk {a {b {c d}} {e f}} }}
while {[set x [leaves]] ne "done"} { puts -nonewline "$x " }
puts ""

oo::class create Shape { variable name; constructor n { set name $n }; method name {} { return $name }; destructor { puts "bye $name" } }
oo::class create Square { superclass Shape; variable side; constructor s { next square; set side $s }; method area {} { expr {$side ** 2} } }
set s [Square new 12]; puts "[$s name] [$s area]"; $s destroy

puts [expr {2 ** 521 - 1}]
puts [expr {(3 ** 300) % (10 ** 50)}],[expr {1e300 * 1e10}],[expr {isqrt(10 ** 40)}],[expr {1.0 / 3}],[expr {int(-7 / 2)}]
puts [format "%08.3f|%-6s|%x|%e|%c" 3.14159 ab 255 12345.678 0x263a],[scan "12 0x1f abc" "%d %x %s"]
puts [binary encode hex [binary format Isd 1 2 3.5]],[string toupper straße],[string reverse héllo]

set d [dict create]
set seed 42
for {set i 0} {$i < 5000} {incr i} { set seed [expr {($seed * 1103515245 + 12345) & 0x7fffffff}]; dict incr d [expr {$seed % 100}] }
puts [lrange [lsort -integer -stride 2 -index 1 -decreasing $d] 0 0],[dict size $d]
set l [lsort -unique -dictionary [split "x10 x9 a B c x10 X1"]]; puts $l
puts [regexp -all -inline {(\w+)@(\w+)} "a@b c@d"],[regsub -all {(\d+)} "a1b22" {<\1>}]
puts [regexp {^(a+)+$} [string repeat a 30]b]
set text [string repeat "compress me; " 5000]
set packed [zlib gzip $text -level 9]
puts "[string length $packed] [expr {[zlib gunzip $packed] eq $text}] [zlib crc32 $text] [zlib adler32 $text]"
puts [clock format 1700000000 -gmt 1 -format "%Y-%m-%d %H:%M:%S %a %j"],[clock scan "2024-02-29 12:00" -gmt 1]

set name /tmp/tcl-file
set f [open $name w+]; fconfigure $f -encoding utf-8 -translation crlf
for {set i 0} {$i < 1000} {incr i} { puts $f "line $i ä" }
seek $f 0; puts "[gets $f] [file size $name]"; close $f
file copy $name $name.copy; file mkdir $name.d/a/b; puts [lsort [glob -tails -directory /tmp tcl-file*]] ; file delete -force $name $name.copy $name.d
puts [catch {open /nonexistent} message],$message,[lrange $errorCode 0 1]
puts [exec sh -c "echo out; exit 0" | tr a-z A-Z]
puts [catch {exec sh -c "echo err >&2; exit 3"} message],$message,[lindex $errorCode 2]
set p [open "|sort -n" r+]; foreach i {5 3 9} { puts $p $i }; close $p w; puts [read $p]; close $p

proc accept {channel host port} { fconfigure $channel -blocking 0 -buffering line; fileevent $channel readable [list serve $channel] }
proc serve channel { if {[gets $channel line] >= 0} { puts $channel [string toupper $line] } elseif {[eof $channel]} { close $channel; set ::served 1 } }
set server [socket -server accept -myaddr 127.0.0.1 0]
set client [socket -async 127.0.0.1 [lindex [fconfigure $server -sockname] 2]]
fconfigure $client -buffering line -blocking 0
proc answer client { global got; if {[gets $client line] >= 0} { lappend got $line; if {[llength $got] == 3} { close $client } else { puts $client "again [llength $got]" } } }
fileevent $client readable [list answer $client]
after 1 { puts $client hello }
vwait served
puts $got
set order {}
foreach t {3 1 2} { after [expr {$t * 25}] "lappend order $t" }
after 250 { set done 1 }
vwait done
puts $order

set child [interp create -safe]
puts [catch {$child eval {open /etc/passwd}} message],$message
trace add variable watched write {apply {{n a o} { puts "write $n" }}}
set watched 1
exit 4
