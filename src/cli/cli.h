/* The subcommands of `ingot`; each parses its own options. Exit status: 0, 1 on failure, 2 on wrong usage, and for
 * `run` as docker's (125, 126, 127, 128 + signal). */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdio.h>

#include <jansson.h>

int cmd_build(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_sign(int argc, char **argv);
int cmd_attest(int argc, char **argv);
int cmd_audit(int argc, char **argv);

/* ingot run --lockstep=OTHER: both run argv; the first one's status, or 125 after a message that says where they
 * differ. options: as for hand_over(). */
int compare_runs(const char *path, const char *other, const char *options, char **argv);
/* For the image that is executed next: its options, words as in docs/formats.md. 0, or 125 after a message. */
int hand_over(const char *options);
/* A line. What comes from images, artifacts and logs is not written to a terminal but through these: control characters
 * and bytes that are no UTF-8 stand as \xNN. */
void cli_print(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_put_text(FILE *out, const char *text);
/* Any bytes as a string of JSON: what is no UTF-8 becomes U+FFFD. Never NULL. */
json_t *cli_json_string(const char *text);
/* "ingot: MESSAGE" on standard error; returns status. */
int cli_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
