/* The words of the options (docs/formats.md, "Options from ingot run"). */
#ifndef VKERNEL_BOOT_OPTIONS_H
#define VKERNEL_BOOT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* The next word of a text, decoded in place; NULL at its end. *rest begins as the text. */
char *option_word(char **rest);
/* A number of bytes as docker takes it: 1048576, 1048576b, 1024k, 1m, 1MiB. */
bool option_size(const char *text, uint64_t *size);
/* Whoever sets the environment of the host process is not always who runs it, and options reach the host's files. Only
 * the vkernel for development takes them from there (tests/vkernel/dev_options.c). */
extern const bool options_from_environment;

#endif
