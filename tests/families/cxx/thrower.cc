/* The inner library: throws. */
#include <new>
#include <vector>

#include "shapes.h"

error::error(const std::string &what, int code) : std::runtime_error(what), code(code) {}
error::~error() = default;
shape::~shape() = default;
int counted::alive;

namespace {
struct square : counted {
    double side;
    explicit square(double side) : side(side) {}
    double area() const override { return side * side; }
};
} // namespace

int
thrower(int depth, int kind)
{
    square here(depth);

    if (depth > 0)
        return thrower(depth - 1, kind) + (here.area() > 2 ? 1 : 0);
    switch (kind) {
    case 0: throw error("from the thrower", 17);
    case 1: throw 42;
    case 2: throw "a string";
    case 3: return std::vector<int>{ 1, 2, 3 }.at(7);
    case 4: return static_cast<int>(*new char[static_cast<size_t>(-1) / 4 + static_cast<size_t>(kind)]);
    case 5: throw std::make_shared<square>(5);
    case 6: return dynamic_cast<const square &>(static_cast<const shape &>(*std::make_unique<square>(9))).area() > 80;
    case 7: return std::stoi("none");
    default: return 100;
    }
}
