//! The standard library: collections, formatting, wide integers, threads, files, processes, sockets.
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{mpsc, Arc, Barrier, Condvar, Mutex, Once, RwLock};
use std::thread;
use std::time::Duration;

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn collections() {
    let mut s = 88172645463325252u64;
    let mut map = HashMap::new();
    let mut tree = BTreeMap::new();
    for _ in 0..50_000 {
        let k = random(&mut s) % 5000;
        *map.entry(k).or_insert(0u64) += 1;
        tree.entry(k).or_insert_with(Vec::new).push(s);
    }
    let mut sum = 0u64;
    for (k, v) in &tree {
        assert_eq!(map[k], v.len() as u64);
        sum = sum.wrapping_mul(31).wrapping_add(v.iter().fold(*k, |a, b| a ^ b));
    }
    println!("maps {} {} {sum:x}", map.len(), tree.range(10..20).map(|(_, v)| v.len()).sum::<usize>());
    let mut heap: BinaryHeap<u64> = (0..1000).map(|_| random(&mut s) % 1000).collect();
    let mut queue = VecDeque::new();
    while let Some(x) = heap.pop() {
        if x % 2 == 0 { queue.push_back(x) } else { queue.push_front(x) }
    }
    let mut v: Vec<u64> = queue.into_iter().collect();
    v.sort_unstable_by(|a, b| b.cmp(a));
    v.dedup();
    println!("heap {} {:?}", v.len(), &v[..8]);
    let set: HashSet<String> = v.iter().map(|x| format!("{x:o}")).collect();
    println!("set {}", set.contains("17"));
    let words = "the quick brown fox jumps over the lazy dog";
    let mut w: Vec<&str> = words.split_whitespace().collect();
    w.sort_by_key(|s| (s.len(), *s));
    println!("{}", w.join(" ").to_uppercase());
}

fn numbers() {
    let a = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210u128;
    println!("{} {} {:#x}", a / 1_000_000_007, a % 12345678901234567890, a.rotate_left(37));
    println!("{} {}", (-(a as i128)) / 7, (a as f64));
    println!("{:?} {:?} {:?}", u64::MAX.checked_mul(3), i64::MIN.overflowing_neg(), 200u8.saturating_add(100));
    println!("{} {} {}", a.count_ones(), (1u64 << 40).leading_zeros(), 96u32.trailing_zeros());
    for x in [0.1f64, 1e300, 5e-324, f64::NAN, -0.0, 1.0 / 3.0, 123456789.125, f64::INFINITY] {
        print!("{x} {x:e} {x:.3} {} ", x as i32);
    }
    println!();
    for x in [0.1f32, 16777217.0, 3.4e38, 1e-45] {
        print!("{x} {x:?} {} ", x as u8);
    }
    println!();
    println!("{} {:.12} {:.12}", 2f64.sqrt(), 1f64.exp().ln_1p(), 0.7f64.powf(0.3));
    println!("{:.12} {:.12} {:.12}", 1f64.sin(), 1f64.atan2(2.0), 10f64.log2());
    println!("{:?} {:?}", "1e23".parse::<f64>(), "0x1".parse::<f64>().is_err());
    let mut text = String::new();
    write!(text, "{:>8}|{:<8}|{:^8}|{:+}|{:08.2}|{:#010b}", "r", "l", "c", 5, -3.14159, 5).unwrap();
    println!("{text}");
}

fn threads() {
    let total = Arc::new(AtomicU64::new(0));
    let table = Arc::new(RwLock::new(vec![0u64; 16]));
    let barrier = Arc::new(Barrier::new(4));
    let handles: Vec<_> = (0..4u64)
        .map(|i| {
            let (total, table, barrier) = (total.clone(), table.clone(), barrier.clone());
            thread::spawn(move || {
                for n in 0..1000 {
                    total.fetch_add(n * i, Ordering::Relaxed);
                    if n % 10 == 0 { table.write().unwrap()[(n / 10 % 16) as usize] += i } else { assert!(table.read().unwrap().len() == 16) }
                }
                barrier.wait().is_leader()
            })
        })
        .collect();
    let leaders = handles.into_iter().map(|h| h.join().unwrap()).filter(|x| *x).count();
    println!("threads {} {:?} leaders {leaders}", total.load(Ordering::SeqCst), table.read().unwrap());

    let (tx, rx) = mpsc::sync_channel::<u64>(3);
    let producers: Vec<_> = (0..3)
        .map(|i| {
            let tx = tx.clone();
            thread::spawn(move || (0..500).for_each(|n| tx.send(n * 3 + i).unwrap()))
        })
        .collect();
    drop(tx);
    let sum: u64 = rx.iter().sum();
    producers.into_iter().for_each(|p| p.join().unwrap());
    println!("channel {sum} {:?}", rx.recv_timeout(Duration::from_millis(1)));

    let pair = (Mutex::new(0), Condvar::new());
    static ONCE: Once = Once::new();
    thread_local!(static LOCAL: std::cell::Cell<u32> = std::cell::Cell::new(7));
    thread::scope(|s| {
        for want in 0..5 {
            let pair = &pair;
            s.spawn(move || {
                ONCE.call_once(|| println!("once"));
                LOCAL.with(|l| l.set(l.get() + want));
                let mut turn = pair.0.lock().unwrap();
                while *turn != want {
                    turn = pair.1.wait(turn).unwrap();
                }
                println!("turn {want} local {}", LOCAL.with(|l| l.get()));
                *turn += 1;
                pair.1.notify_all();
            });
        }
    });
    let (_, late) = pair.1.wait_timeout(pair.0.lock().unwrap(), Duration::from_millis(2)).unwrap();
    println!("timed out {}", late.timed_out());
    let poisoned = Arc::new(Mutex::new(1));
    let p = poisoned.clone();
    let _ = thread::spawn(move || {
        let _g = p.lock().unwrap();
        std::panic::resume_unwind(Box::new(()));
    })
    .join();
    println!("poisoned {}", poisoned.is_poisoned());
}

fn files() -> io::Result<()> {
    let dir = std::env::temp_dir().join(format!("rust-{}", std::process::id()));
    fs::create_dir_all(dir.join("a/b"))?;
    let name = dir.join("a/file");
    let mut f = fs::OpenOptions::new().read(true).write(true).create(true).open(&name)?;
    for i in 0..1000 {
        writeln!(f, "line {i}")?;
    }
    f.seek(SeekFrom::Start(5))?;
    let mut head = [0; 4];
    f.read_exact(&mut head)?;
    println!("{head:?} {}", f.metadata()?.len());
    println!("{:?}", BufReader::new(fs::File::open(&name)?).lines().nth(999).unwrap()?);
    fs::copy(&name, dir.join("copy"))?;
    fs::rename(dir.join("copy"), dir.join("a/b/moved"))?;
    std::os::unix::fs::symlink("moved", dir.join("a/b/link"))?;
    let mut names: Vec<_> = fs::read_dir(dir.join("a/b"))?.map(|e| e.unwrap().file_name()).collect();
    names.sort();
    println!("{names:?} {}", fs::read_to_string(dir.join("a/b/link"))?.len());
    println!("{}", fs::File::open(dir.join("none")).unwrap_err());
    println!("{:?}", fs::remove_dir(&dir).unwrap_err().kind());
    fs::remove_dir_all(&dir)
}

fn processes() -> io::Result<()> {
    let out = Command::new("/bin/sh").args(["-c", "echo out; echo err >&2; exit 5"]).output()?;
    println!("{:?} {:?} {}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr), out.status);
    let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).env_clear().spawn()?;
    let mut stdin = cat.stdin.take().unwrap();
    let writer = thread::spawn(move || (0..20_000).try_for_each(|i| writeln!(stdin, "{i}")));
    let lines = BufReader::new(cat.stdout.take().unwrap()).lines().count();
    println!("{lines} {:?} {}", writer.join().unwrap().is_ok(), cat.wait()?);
    let mut sleep = Command::new("sleep").arg("100").spawn()?;
    sleep.kill()?;
    println!("{}", sleep.wait()?);
    println!("{}", Command::new("/nonexistent").spawn().unwrap_err());
    Ok(())
}

fn sockets() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || -> io::Result<usize> {
        let mut sum = 0;
        for stream in listener.incoming().take(4) {
            let mut stream = stream?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            sum += text.len();
            stream.write_all(text.to_uppercase().as_bytes())?;
        }
        Ok(sum)
    });
    for i in 1..=4 {
        let mut c = TcpStream::connect(address)?;
        c.set_nodelay(true)?;
        c.write_all("hello ".repeat(i * 10_000).as_bytes())?;
        c.shutdown(std::net::Shutdown::Write)?;
        let mut text = String::new();
        c.read_to_string(&mut text)?;
        println!("tcp {} {}", text.len(), &text[..6]);
    }
    println!("served {}", server.join().unwrap()?);
    let (a, b) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("[::1]:0"));
    let c = UdpSocket::bind("127.0.0.1:0")?;
    a.send_to(b"datagram", c.local_addr()?)?;
    let mut buffer = [0; 100];
    let (n, from) = c.recv_from(&mut buffer)?;
    println!("udp {n} {} {}", from == a.local_addr()?, b.is_ok());
    c.set_read_timeout(Some(Duration::from_millis(5)))?;
    println!("udp {:?}", c.recv_from(&mut buffer).unwrap_err().kind());
    let (mut x, mut y) = UnixStream::pair()?;
    x.write_all(b"pair")?;
    drop(x);
    let mut text = String::new();
    y.read_to_string(&mut text)?;
    println!("unix {text} {}", TcpStream::connect(address).unwrap_err());
    Ok(())
}

fn main() -> io::Result<()> {
    collections();
    numbers();
    threads();
    files()?;
    processes()?;
    sockets()
}
