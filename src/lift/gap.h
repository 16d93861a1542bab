/* What text is that no block covers. The report counts it, and needs nothing else of discovery. */
#ifndef LIFT_GAP_H
#define LIFT_GAP_H

enum disc_gap_kind {
    DISC_GAP_PADDING, /* nops, int3 and zeros next to code */
    DISC_GAP_FOREIGN, /* instructions of no x86-64-v2 processor (they raise #UD), and what only they lead to */
    DISC_GAP_DATA,
    DISC_GAP_UNREACHED,
    DISC_GAP_KIND_COUNT
};

#endif
