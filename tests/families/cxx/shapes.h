/* What the libraries and the program of this family share. */
#pragma once
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

struct error : std::runtime_error {
    int code;
    error(const std::string &what, int code);
    ~error() override;
};

struct shape {
    virtual ~shape();
    virtual double area() const = 0;
    virtual std::string name() const
    {
        return "shape";
    }
};

struct counted : virtual shape {
    static int alive;
    counted()
    {
        alive++;
    }
    ~counted() override
    {
        alive--;
    }
};

/* Counts down through frames of both libraries, then throws what kind says. */
int thrower(int depth, int kind);
int middle(int depth, int kind, const std::function<int(int)> &leaf);

extern "C" shape *plugin_shape(double size);
extern "C" int plugin_throw(int kind, int (*leaf)(int));
