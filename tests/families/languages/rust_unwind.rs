//! Panics: unwinding through frames, threads and other panics, and what ends the process. `unwind KIND` dies of KIND.
use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::thread;

struct Noisy(&'static str);

impl Drop for Noisy {
    fn drop(&mut self) {
        println!("drop {} panicking={}", self.0, thread::panicking());
    }
}

#[inline(never)]
fn deep(n: u32, f: &dyn Fn()) -> u32 {
    if n == 0 {
        f();
        return 0;
    }
    let _guard = if n % 10 == 5 { Some(Noisy("frame")) } else { None };
    1 + deep(n - 1, f)
}

fn text(payload: &(dyn Any + Send)) -> String {
    if let Some(s) = payload.downcast_ref::<&str>() {
        format!("str {s}")
    } else if let Some(s) = payload.downcast_ref::<String>() {
        format!("String {s}")
    } else if let Some(n) = payload.downcast_ref::<u64>() {
        format!("u64 {n}")
    } else {
        "?".to_string()
    }
}

fn caught(what: &str, f: impl FnOnce()) {
    match panic::catch_unwind(AssertUnwindSafe(f)) {
        Ok(()) => println!("{what}: returned"),
        Err(e) => println!("{what}: {}", text(&*e)),
    }
}

/// A value that the compiler does not know.
#[inline(never)]
fn opaque<T>(x: T) -> T {
    let x = std::mem::ManuallyDrop::new(x);
    unsafe { std::ptr::read_volatile(&*x) }
}

fn recurse(n: u64) -> u64 {
    let a = opaque([n; 64]);
    if n == u64::MAX { 0 } else { recurse(n + 1) + a[(n % 64) as usize] }
}

fn checks() {
    caught("no panic", || ());
    caught("literal", || panic!("plain"));
    caught("formatted", || panic!("n = {}", opaque(7)));
    caught("payload", || panic::panic_any(42u64));
    caught("index", || println!("{}", opaque(vec![1, 2, 3])[opaque(3)]));
    caught("slice", || println!("{:?}", &opaque(vec![1, 2, 3])[opaque(2)..opaque(1)]));
    caught("division", || println!("{}", opaque(1) / opaque(0)));
    caught("overflow", || println!("{}", opaque(i32::MIN) / opaque(-1)));
    caught("add", || println!("{:?}", opaque(i32::MAX).checked_add(1).expect("no sum")));
    caught("unwrap", || println!("{}", "x".parse::<i32>().unwrap()));
    caught("borrow", || {
        let c = RefCell::new(1);
        let _a = c.borrow_mut();
        c.borrow_mut();
    });
    caught("utf8", || println!("{}", &opaque("äöü")[..opaque(1)]));
}

fn nested() {
    caught("outer", || {
        let _a = Noisy("a");
        caught("inner", || {
            let _b = Noisy("b");
            deep(35, &|| panic!("deep"));
        });
        let e = panic::catch_unwind(|| panic!("again")).unwrap_err();
        panic::resume_unwind(e);
    });
    let mut sum = 0u64;
    for i in 0..20_000u64 {
        let r = panic::catch_unwind(|| if opaque(i) % 2 == 0 { panic::resume_unwind(Box::new(i)) });
        sum += r.err().and_then(|e| e.downcast::<u64>().ok()).map_or(1, |b| *b);
    }
    println!("sum {sum}");
}

fn threads() {
    let handles: Vec<_> = (0..8u64)
        .map(|i| {
            thread::Builder::new().name(format!("t{i}")).spawn(move || {
                if i % 3 == 0 {
                    panic::resume_unwind(Box::new(i));
                }
                deep(4, &|| ());
                i * i
            })
        })
        .collect();
    for h in handles {
        match h.unwrap().join() {
            Ok(v) => println!("joined {v}"),
            Err(e) => println!("died {}", text(&*e)),
        }
    }
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("panic") => {
            let _n = Noisy("main");
            panic!("the end");
        }
        Some("double") => {
            struct Bad;
            impl Drop for Bad {
                fn drop(&mut self) {
                    panic!("in drop");
                }
            }
            let _b = Bad;
            panic!("first");
        }
        Some("stack") => println!("{}", recurse(opaque(0))),
        Some("thread-stack") => println!("{:?}", thread::spawn(|| recurse(opaque(0))).join().is_ok()),
        Some("abort") => std::process::abort(),
        Some("exit") => std::process::exit(3),
        _ => {
            checks();
            nested();
            panic::set_hook(Box::new(|i| println!("hook: {}", i.location().unwrap().line())));
            checks();
            threads();
        }
    }
}
