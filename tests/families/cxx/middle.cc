/* The outer library: frames with cleanups, filters and rethrows between the thrower and the program. */
#include <stdexcept>
#include <string>

#include "shapes.h"

namespace {
struct note {
    std::string text;
    explicit note(std::string text) : text(std::move(text)) {}
    ~note() { std::printf(" ~%s", text.c_str()); }
};
} // namespace

int
middle(int depth, int kind, const std::function<int(int)> &leaf)
{
    note here("middle" + std::to_string(depth));

    if (depth == 0)
        return leaf(kind);
    try {
        return middle(depth - 1, kind, leaf) + 1;
    } catch (const std::out_of_range &) {
        std::throw_with_nested(error("out of range below", depth));
    } catch (int n) {
        if (depth < 3)
            throw;
        return n * depth;
    } catch (...) {
        note caught("rethrow");
        throw;
    }
}
