/* abi/syscalls.def and abi/types.def as the generator reads them. */
#ifndef FUZZ_SYSCALLS_TABLE_H
#define FUZZ_SYSCALLS_TABLE_H

#include <stdbool.h>
#include <stdint.h>

enum { MAX_FIELDS = 48, MAX_ALTERNATIVES = 16 };

/* One word of a format: an argument, a field, or a result. */
struct word {
    char letter; /* '\0': none */
    bool array;
    uint8_t resource; /* f: kind of descriptor, 0 any */
    unsigned size;    /* of a field */
    const struct type *type;
    const char *literal; /* of a field that is a string of its own: "lo16", "elf16" */
};

enum type_kind { TYPE_VALUES, TYPE_FLAGS, TYPE_STRUCT, TYPE_UNION, TYPE_STRINGS };
struct type {
    const char *name;
    enum type_kind kind;
    const uint64_t *values;
    const char *const *strings;
    const char *text;
    unsigned count; /* values, strings, fields, alternatives */
    unsigned size;  /* of a structure */
    struct word fields[MAX_FIELDS];
    const struct type *alternatives[MAX_ALTERNATIVES];
};

struct row {
    unsigned number, arity;
    const char *name, *format;
    struct word args[6], result;
};

extern struct row rows[];
extern const unsigned row_count;

void table_init(void); /* ends the program when the tables do not fit together */
const struct type *table_type(const char *name);
const struct type *table_number(const char *name); /* VALUES or FLAGS */ /* NULL: none */
const struct row *table_row(unsigned number);                            /* NULL: none */
const struct row *table_named(const char *name);                         /* ends the program when there is none */
void table_word(const char *text, struct word *w); /* one word of a format, up to a blank or semicolon */
unsigned table_kind(const char *name);             /* of descriptor: its number, from 1 */

#endif
