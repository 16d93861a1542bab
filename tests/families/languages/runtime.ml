(* OCaml's native code: exceptions, the ones of the processor among them, the garbage collector, closures, threads, Unix. *)
let printf = Printf.printf

exception Custom of int * string

let opaque = Sys.opaque_identity

let caught what f =
  match f () with
  | x -> printf "%s: %d\n%!" what x
  | exception e -> printf "%s: %s\n%!" what (Printexc.to_string e)

let rec overflow n = if n = opaque (-1) then 0 else 1 + overflow (n + 1)
let rec deep n = if n = 0 then raise (Custom (n, "deep")) else try 1 + deep (n - 1) with Not_found -> n

let exceptions () =
  caught "value" (fun () -> 42);
  caught "custom" (fun () -> raise (Custom (1, "x")));
  caught "bounds" (fun () -> [| 1; 2; 3 |].(opaque 3));
  caught "string" (fun () -> Char.code "abc".[opaque (-1)]);
  caught "division" (fun () -> 1 / opaque 0);
  caught "modulo" (fun () -> 1 mod opaque 0);
  caught "match" (fun () -> match opaque 5 with 1 -> 2 | n when n < 3 -> 3 | _ -> List.hd []);
  caught "not found" (fun () -> Hashtbl.find (Hashtbl.create 1) "x");
  caught "failure" (fun () -> int_of_string "12x");
  caught "system" (fun () -> open_in "/nonexistent" |> in_channel_length);
  caught "overflow" (fun () -> overflow 0);
  caught "overflow again" (fun () -> overflow 0);
  caught "deep" (fun () -> deep 1000);
  caught "finally" (fun () -> Fun.protect ~finally:(fun () -> printf "finally\n") (fun () -> raise Exit));
  let n = ref 0 in
  for i = 1 to 1_000_000 do
    try if i land 1 = 0 then raise_notrace Exit else n := !n + i with Exit -> n := !n - 1
  done;
  printf "%d\n" !n

type tree = Leaf | Node of tree * int * tree

let rec insert x = function
  | Leaf -> Node (Leaf, x, Leaf)
  | Node (l, y, r) as t -> if x < y then Node (insert x l, y, r) else if x > y then Node (l, y, insert x r) else t

let rec size = function Leaf -> 0 | Node (l, _, r) -> 1 + size l + size r

let collector () =
  let t = ref Leaf in
  Random.init 7;
  for _ = 1 to 30_000 do t := insert (Random.int 100_000) !t done;
  printf "tree %d\n" (size !t);
  let weak = Weak.create 100 in
  for i = 0 to 99 do Weak.set weak i (Some (ref i)) done;
  Gc.compact ();
  let alive = ref 0 in
  for i = 0 to 99 do if Weak.check weak i then incr alive done;
  let finalised = ref 0 in
  for i = 1 to 100 do Gc.finalise (fun _ -> incr finalised) (ref i) done;
  Gc.full_major ();
  printf "weak %d finalised %d\n" !alive !finalised;
  let big = Array.make 5_000_000 0.5 in
  big.(17) <- 1.5;
  printf "%.1f\n" (Array.fold_left ( +. ) 0. big);
  let s = Gc.quick_stat () in
  printf "collections %b %b\n" (s.Gc.minor_collections > 5) (s.Gc.compactions >= 1)

module Strings = Map.Make (String)

let library () =
  let words = String.split_on_char ' ' "the quick brown fox jumps over the lazy dog the end" in
  let counts = List.fold_left (fun m w -> Strings.update w (function None -> Some 1 | Some n -> Some (n + 1)) m) Strings.empty words in
  Strings.iter (printf "%s=%d ") counts;
  printf "\n%s %s\n" (Digest.to_hex (Digest.string (String.make 10_000 'x'))) (String.concat "," (List.sort_uniq compare words));
  printf "%d %Ld %nd %lx %.17g %h %s\n" max_int Int64.min_int 5n (-1l) (1. /. 3.) 0.1 (string_of_float (sqrt 2.));
  printf "%b %f %f %e\n" (nan = nan) infinity (-0.) (float_of_string "0x1.8p3");
  printf "%.10f %.10f %.10f\n" (sin 1e5) (exp 1.5) (atan2 1. 2.);
  let l = List.init 200_000 (fun i -> i * 7919 mod 100_003) in
  printf "%d\n" (List.fold_left (fun a x -> (a * 31 + x) land 0xffffff) 0 (List.sort compare l));
  let text = Marshal.to_string (insert 5 (insert 3 Leaf), [| 1.5; 2.5 |], "s") [] in
  let (t, a, s) : tree * float array * string = Marshal.from_string text 0 in
  printf "marshal %d %d %f %s\n" (String.length text) (size t) a.(1) s;
  let f : int -> int = Marshal.from_string (Marshal.to_string (fun x -> x + String.length s) [ Marshal.Closures ]) 0 in
  printf "closure %d\n" (f 41);
  let b = Bigarray.(Array2.create float64 c_layout 100 100) in
  Bigarray.Array2.fill b 0.25;
  b.{3, 4} <- 1.;
  let sum = ref 0. in
  for i = 0 to 99 do for j = 0 to 99 do sum := !sum +. b.{i, j} done done;
  printf "bigarray %f\n" !sum;
  caught "bigarray" (fun () -> int_of_float b.{opaque 100, 0});
  printf "%s\n" (Format.asprintf "@[<v 2>%a@]" (Format.pp_print_list Format.pp_print_int) [ 1; 2; 3 ]);
  printf "%s\n" (Str.global_replace (Str.regexp "\\([a-z]+\\)@\\([a-z]+\\)") "\\2 at \\1" "user@host, me@home")

let threads () =
  let m = Mutex.create () and c = Condition.create () in
  let turn = ref 0 and total = ref 0 in
  let worker i =
    Mutex.lock m;
    while !turn <> i do Condition.wait c m done;
    incr turn;
    Condition.broadcast c;
    Mutex.unlock m;
    let t = ref Leaf in
    for j = 1 to 2000 do t := insert (j * i mod 1009) !t done;
    (try ignore ([| 1 |].(opaque i + 1)) with Invalid_argument _ -> Mutex.lock m; total := !total + size !t; Mutex.unlock m)
  in
  List.iter Thread.join (List.init 6 (Thread.create worker));
  let channel = Event.new_channel () in
  let t = Thread.create (fun () -> for i = 1 to 100 do Event.sync (Event.send channel i) done) () in
  let sum = ref 0 in
  for _ = 1 to 100 do sum := !sum + Event.sync (Event.receive channel) done;
  Thread.join t;
  printf "threads %d %d\n%!" !total !sum

let processes () =
  let r, w = Unix.pipe () in
  (match Unix.fork () with
   | 0 ->
     Unix.close r;
     let s = string_of_int (size (List.fold_left (fun t i -> insert i t) Leaf (List.init 5000 (fun i -> i * 31 mod 4999)))) in
     ignore (Unix.write_substring w s 0 (String.length s));
     Unix._exit 3
   | pid ->
     Unix.close w;
     let b = Bytes.create 100 in
     let n = Unix.read r b 0 100 in
     (match Unix.waitpid [] pid with
      | _, Unix.WEXITED s -> printf "child %s %d\n%!" (Bytes.sub_string b 0 n) s
      | _ -> printf "?\n"));
  let c = Unix.open_process_in "echo from the shell; exit 2" in
  printf "%s\n" (input_line c);
  (match Unix.close_process_in c with Unix.WEXITED n -> printf "%d\n" n | _ -> printf "?\n");
  let got = ref 0 in
  Sys.set_signal Sys.sigusr1 (Sys.Signal_handle (fun _ -> incr got; raise Exit));
  (try Unix.kill (Unix.getpid ()) Sys.sigusr1; while true do ignore (ref 0) done with Exit -> printf "signal %d\n" !got);
  (* A handler that ends a loop which allocates. *)
  Sys.set_signal Sys.sigalrm (Sys.Signal_handle (fun _ -> raise Exit));
  ignore (Unix.setitimer Unix.ITIMER_REAL { Unix.it_interval = 0.; it_value = 0.005 });
  (try while true do ignore (opaque (ref 0)) done with Exit -> printf "alarm\n");
  let s = Unix.socket Unix.PF_INET Unix.SOCK_STREAM 0 in
  Unix.bind s (Unix.ADDR_INET (Unix.inet_addr_loopback, 0));
  Unix.listen s 5;
  let t = Thread.create (fun () ->
      let c, _ = Unix.accept s in
      let i = Unix.in_channel_of_descr c and o = Unix.out_channel_of_descr c in
      output_string o (String.uppercase_ascii (input_line i) ^ "\n");
      flush o; Unix.close c) () in
  let i, o = Unix.open_connection (Unix.getsockname s) in
  output_string o "hello\n"; flush o;
  printf "%s\n" (input_line i);
  Thread.join t;
  (try ignore (Unix.openfile "/nonexistent" [ Unix.O_RDONLY ] 0) with Unix.Unix_error (e, f, a) -> printf "%s %s %s\n" (Unix.error_message e) f a)

let () =
  match Sys.argv with
  | [| _; "raise" |] -> Printexc.record_backtrace true; ignore (deep 3)
  | [| _; "stack" |] -> printf "%d\n" (overflow 0)
  | [| _; "exit" |] -> at_exit (fun () -> printf "at exit\n"); exit 5
  | _ -> exceptions (); collector (); library (); threads (); processes ()
