/* The subcommands of `ingot`; each parses its own options. Exit status: 0, 1 on failure, 2 on wrong usage, and for `run`
 * as docker's (125, 126, 127, 128 + signal). */
#ifndef CLI_CLI_H
#define CLI_CLI_H

int cmd_build(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_sign(int argc, char **argv);
int cmd_attest(int argc, char **argv);
int cmd_audit(int argc, char **argv);

/* For the image that is executed next: its options, words as in docs/formats.md. 0, or 125 after a message. */
int hand_over(const char *options);
/* "ingot: MESSAGE" on standard error; returns status. */
int cli_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
