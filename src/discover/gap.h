/* The kinds of text that no block covers. They have a header of their own because the report counts them, and needs
 * nothing else of discovery. */
#ifndef DISCOVER_GAP_H
#define DISCOVER_GAP_H

enum disc_gap_kind {
    DISC_GAP_PADDING,   /* nops, int3 and zeros at the edges of a gap */
    DISC_GAP_FOREIGN,   /* instructions that the artifact's level does not have (they raise #UD), and what only they
                           lead to */
    DISC_GAP_DATA,      /* what follows an address that something uses as data */
    DISC_GAP_UNREACHED, /* the rest: nothing that was found leads there */
    DISC_GAP_KIND_COUNT
};

#endif
