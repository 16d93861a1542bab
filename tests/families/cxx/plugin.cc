/* Loaded with dlopen: its own class derived from the library's, its own exceptions, callbacks into the program. */
#include "shapes.h"

namespace {
struct circle : counted {
    double radius;
    explicit circle(double radius) : radius(radius) {}
    double area() const override { return 3 * radius * radius; }
    std::string name() const override { return "circle"; }
};

struct plugin_error : error {
    using error::error;
    const char *what() const noexcept override { return "plugin's own"; }
};

thread_local int calls = 100;
} // namespace

shape *
plugin_shape(double size)
{
    return new circle(size);
}

int
plugin_throw(int kind, int (*leaf)(int))
{
    calls++;
    try {
        if (kind == 50)
            throw plugin_error("hidden", 51);
        return leaf(kind) + calls;
    } catch (const std::bad_alloc &) {
        return -calls;
    }
}
