/* Exceptions through frames of several libraries, run-time types, iostreams, containers, threads. Prints what happens. */
#include <algorithm>
#include <any>
#include <chrono>
#include <cxxabi.h>
#include <dlfcn.h>
#include <exception>
#include <fstream>
#include <future>
#include <iomanip>
#include <iostream>
#include <map>
#include <numeric>
#include <optional>
#include <regex>
#include <sstream>
#include <thread>
#include <typeinfo>
#include <unordered_map>
#include <variant>
#include <vector>

#include "shapes.h"

static void
describe(const std::exception &e, int level = 0)
{
    std::cout << std::string(static_cast<size_t>(level) + 1, '>') << e.what();
    try {
        std::rethrow_if_nested(e);
    } catch (const std::exception &inner) {
        describe(inner, level + 1);
    }
}

template <class F>
static void
attempt(const char *name, F f)
{
    std::cout << name << ":" << std::flush;
    try {
        int result = f();
        std::cout << " result " << result;
    } catch (const error &e) {
        std::cout << " error " << e.code;
        describe(e);
    } catch (const std::exception &e) {
        std::cout << " std::exception " << e.what();
    } catch (int n) {
        std::cout << " int " << n;
    } catch (const char *s) {
        std::cout << " string " << s;
    } catch (const std::shared_ptr<shape> &s) {
        std::cout << " shape " << s->area();
    } catch (...) {
        int status;
        char *name = abi::__cxa_demangle(abi::__cxa_current_exception_type()->name(), nullptr, nullptr, &status);
        std::cout << " something of type " << name;
        std::free(name);
    }
    std::cout << " (alive " << counted::alive << ", in flight " << std::uncaught_exceptions() << ")\n";
}

static void
exceptions()
{
    for (int kind = 0; kind < 9; kind++)
        attempt("middle", [kind] { return middle(4, kind, [](int k) { return thrower(3, k); }); });
    attempt("in a destructor's shadow", [] {
        struct guard {
            ~guard()
            {
                try {
                    thrower(2, 1);
                } catch (int n) {
                    std::cout << " guarded " << n << "/" << std::uncaught_exceptions();
                }
            }
        } g;
        return thrower(5, 0);
    });
    attempt("function try block", []() -> int {
        struct member {
            int v;
            explicit member(int k) try : v(thrower(1, k)) {
            } catch (int) {
                throw error("member", 3);
            }
        };
        return member(1).v;
    });
    attempt("exception_ptr", [] {
        std::exception_ptr p;
        std::thread([&p] {
            try {
                thrower(10, 0);
            } catch (...) {
                p = std::current_exception();
            }
        }).join();
        std::rethrow_exception(p);
        return 0;
    });
    attempt("future", [] { return std::async(std::launch::async, [] { return thrower(4, 7); }).get(); });
    int caught = 0;
    for (int i = 0; i < 3000; i++)
        try {
            caught += thrower(i % 20, i % 3);
        } catch (int n) {
            caught += n;
        } catch (const std::exception &) {
            caught++;
        } catch (const char *) {
            caught += 2;
        }
    std::cout << "caught " << caught << "\n";
}

static void
plugins(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        std::cout << dlerror() << "\n";
        return;
    }
    auto make = reinterpret_cast<decltype(&plugin_shape)>(dlsym(handle, "plugin_shape"));
    auto raise = reinterpret_cast<decltype(&plugin_throw)>(dlsym(handle, "plugin_throw"));
    {
        std::unique_ptr<shape> s(make(2));
        std::cout << "plugin " << s->name() << " " << s->area() << " " << (dynamic_cast<counted *>(s.get()) != nullptr) << " "
                  << (typeid(*s) == typeid(counted)) << " " << counted::alive << "\n";
    }
    for (int kind : { 0, 1, 2, 4, 8, 50 })
        attempt("plugin", [&] { return middle(2, kind, [&](int k) { return raise(k, [](int j) { return thrower(2, j); }); }); });
    dlclose(handle);
    handle = dlopen(path, RTLD_LAZY);
    raise = reinterpret_cast<decltype(&plugin_throw)>(dlsym(handle, "plugin_throw"));
    attempt("loaded again", [&] { return raise(4, [](int j) { return thrower(2, j); }); });
    attempt("loaded again", [&] { return raise(50, nullptr); });
    dlclose(handle);
}

static void
streams()
{
    std::ostringstream out;
    out << std::setw(8) << std::setfill('*') << 42 << std::hex << std::showbase << 255 << std::dec << ' ' << std::setprecision(12) << 3.14159265358979
        << ' ' << std::scientific << 12345.678 << ' ' << std::boolalpha << true << ' ' << std::fixed << std::setprecision(3) << 1e10L / 3 << ' '
        << std::hexfloat << 0.1;
    std::cout << out.str() << "\n";
    std::istringstream in("12 0x1f 3.5e2 word true 99999999999999999999");
    int a, b;
    double d;
    std::string w;
    bool t;
    long l;
    in >> a >> std::hex >> b >> std::dec >> d >> w >> std::boolalpha >> t >> l;
    std::cout << a << ' ' << b << ' ' << d << ' ' << w << ' ' << t << ' ' << l << ' ' << in.fail() << "\n";
    {
        std::ofstream f("/tmp/lines");
        for (int i = 0; i < 1000; i++)
            f << i * i << '\n';
    }
    std::ifstream f("/tmp/lines");
    long sum = 0, x;
    while (f >> x)
        sum += x;
    std::cout << sum << ' ' << f.eof() << "\n";
    f.clear();
    f.exceptions(std::ios::badbit | std::ios::failbit);
    try {
        f >> x;
    } catch (const std::ios_base::failure &e) {
        std::cout << "failure " << e.code().value() << "\n";
    }
    std::wcout << L"wide " << 7 << std::endl;
}

static void
containers()
{
    std::map<std::string, std::vector<int>> m;
    std::unordered_map<int, std::string> u;
    for (int i = 0; i < 2000; i++) {
        m["key" + std::to_string(i * 7919 % 50)].push_back(i);
        u[i * 31 % 997] += static_cast<char>('a' + i % 26);
    }
    size_t h = 0;
    for (auto &[k, v] : m)
        h = h * 31 + k.size() + static_cast<size_t>(std::accumulate(v.begin(), v.end(), 0));
    std::vector<std::string> words;
    for (int i = 0; i < 997; i++)
        words.push_back(u[i]);
    std::sort(words.begin(), words.end());
    std::stable_sort(words.begin(), words.end(), [](auto &a, auto &b) { return a.size() < b.size(); });
    for (auto &w : words)
        h = h * 131 + std::hash<std::string>{}(w) % 1000;
    std::variant<int, double, std::string> v = "text";
    std::any any = 2.5;
    std::cout << h << ' ' << std::get<std::string>(v) << ' ' << std::any_cast<double>(any) << ' ' << std::optional<int>().value_or(9) << "\n";
    try {
        std::cout << std::get<int>(v);
    } catch (const std::bad_variant_access &e) {
        std::cout << e.what() << ", ";
    }
    try {
        std::cout << std::any_cast<int>(any);
    } catch (const std::bad_any_cast &e) {
        std::cout << e.what() << "\n";
    }
    std::regex r("(\\w+)-(\\d{2,4})");
    std::cout << std::regex_replace(std::string("ab-12 cd-12345 e-1"), r, "[$2:$1]") << "\n";
    std::vector<std::thread> threads;
    std::atomic<long> total{ 0 };
    for (int i = 0; i < 4; i++)
        threads.emplace_back([&total, i] {
            thread_local long mine = i;
            for (int k = 0; k < 1000; k++)
                try {
                    mine += k;
                    if (k % 10 == 0)
                        throw mine;
                } catch (long n) {
                    total += n % 7;
                }
        });
    for (auto &t : threads)
        t.join();
    std::cout << "threads " << total << "\n";
}

int
main(int argc, char **argv)
{
    setvbuf(stdout, nullptr, _IONBF, 0);
    exceptions();
    if (argc > 1)
        plugins(argv[1]);
    streams();
    containers();
    if (argc > 2) {
        std::set_terminate([] {
            std::cout << "terminate" << std::endl;
            std::abort();
        });
        [] () noexcept { thrower(1, 0); }();
    }
}
