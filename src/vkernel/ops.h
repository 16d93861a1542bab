/* Tables of operations: each type's lie together in a section of read-only memory, and whoever calls through a pointer
 * to one says OPS(pointer), which looks first that it points to the start of a table of that type. So an object that
 * was written over cannot name a table of its writer's, nor one of another type. What is still possible: another table
 * of the same type. Decision 0014. */
#ifndef VKERNEL_OPS_H
#define VKERNEL_OPS_H

#include <stddef.h>
#include <stdint.h>

#include "base/check.h"

struct file_ops;
struct inode_ops;
struct socket_ops;
struct pseudo;

/* Behind the type, wherever a table is declared: const struct file_ops OPS_TABLE(file_ops) pipe_ops. Without it, the
 * first call ends the process. The alignment is the type's own: the compiler would leave room between larger ones. */
#define OPS_TABLE(type) __attribute__((section("ops_" #type), aligned(8)))

extern const char __start_ops_file_ops[], __stop_ops_file_ops[], __start_ops_inode_ops[], __stop_ops_inode_ops[];
extern const char __start_ops_socket_ops[], __stop_ops_socket_ops[], __start_ops_pseudo[], __stop_ops_pseudo[];

#define OPS_BOUND(p, bound)                                \
    _Generic((p),                                          \
        const struct file_ops *: bound##_ops_file_ops,     \
        const struct inode_ops *: bound##_ops_inode_ops,   \
        const struct socket_ops *: bound##_ops_socket_ops, \
        const struct pseudo *: bound##_ops_pseudo)

#define OPS(pointer)                                                                                      \
    ({                                                                                                    \
        __auto_type ops_ = (pointer);                                                                     \
        size_t at_ = (size_t)((uintptr_t)ops_ - (uintptr_t)OPS_BOUND(ops_, __start));                     \
        CHECK(at_ < (size_t)((uintptr_t)OPS_BOUND(ops_, __stop) - (uintptr_t)OPS_BOUND(ops_, __start)) && \
                  at_ % sizeof *ops_ == 0,                                                                \
              "a table of operations is not one");                                                        \
        ops_;                                                                                             \
    })

/* Functions to which objects point by themselves (timers, waiters, interrupted calls) lie together as well. In
 * sanitized builds eight bytes of type lie before each. */
#define CALLBACK __attribute__((section("callbacks"), aligned(16)))
extern const char __start_callbacks[], __stop_callbacks[];

#define CALLED(function)                                                                                  \
    ({                                                                                                    \
        __auto_type function_ = (function);                                                               \
        size_t at_ = (size_t)((uintptr_t)function_ - (uintptr_t)__start_callbacks);                       \
        CHECK(at_ < (size_t)((uintptr_t)__stop_callbacks - (uintptr_t)__start_callbacks) && at_ % 8 == 0, \
              "a function that is called back is not one");                                               \
        function_;                                                                                        \
    })

#endif
