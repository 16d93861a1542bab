/* Where large variables lie that few runs use.
 *
 * Without this they would lie among the small ones, so that a start would touch a page for each few bytes that it
 * needs: a page costs 2 µs. For variables of 8 KiB and more without initial value. */
#ifndef BASE_RARE_H
#define BASE_RARE_H

/* One of the names that compilers take for memory of zeros, and that linkers do not join with .bss. */
#define RARE __attribute__((section(".sbss")))

#endif
