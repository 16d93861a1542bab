/* Compares x86_decode with Zydis on one encoding: validity, length, mnemonic, operands, accesses. */
#ifndef TESTS_X86_ORACLE_H
#define TESTS_X86_ORACLE_H

#include <stddef.h>
#include <stdint.h>

void oracle_init(void);
/* Decodes the bytes with both. Counts and prints (the first of each sort) disagreements.
 * Returns the length both see; 1 where the bytes are invalid. */
unsigned oracle_check(const uint8_t *bytes, size_t size, uint64_t address);
/* Prints the totals. Returns 0 when there was no disagreement. */
int oracle_report(void);
/* Prints the rows of insn.tab that no encoding so far was decoded as; 0 when there are none. */
int oracle_report_rows(void);

#endif
