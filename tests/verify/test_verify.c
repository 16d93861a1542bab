/* Units made by hand against the verifier: forms that are accepted, and for each rule units that break only it. A case
 * is refused by its rule, and accepted without: so no rule can be removed, and none is there twice. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "maker.h"
#include "recheck.h"

#define RETURN_POINT            "49 81 fa 00 10 00 00 0f 85 >UNWIND "
#define RETURN_POINT_WITH_FLAGS "9c 49 81 fa 00 10 00 00 74 06 9d e9 >UNWIND 9d "
/* Of rax, r9 and r10. */
#define CODE_MAP_LOOKUP \
    "48 f7 c0 0f 00 00 c0 75 >slow 44 8b d0 41 c1 ea 04 65 67 46 8b 14 95 00 00 00 40 45 85 d2 74 >slow "
#define CODE_MAP_LOOKUP_R9 \
    "49 f7 c1 0f 00 00 c0 0f 85 >>slow 45 8b d1 41 c1 ea 04 65 67 46 8b 14 95 00 00 00 40 45 85 d2 0f 84 >>slow "
#define CODE_MAP_LOOKUP_R10 "49 f7 c2 0f 00 00 c0 75 >slow 41 c1 ea 04 65 67 46 8b 14 95 00 00 00 40 45 85 d2 74 >slow "
/* In a table of two labels: bits is 1, and the multiplier, 0x80000000, makes the lowest bit of the guest's address the
 * index. */
#define LABEL_LOOKUP     "44 69 d0 00 00 00 80 41 c1 ea 1f 42 3b 04 d5 @0 75 >slow 46 8b 14 d5 @4 "
#define LABEL_LOOKUP_R9  "45 69 d1 00 00 00 80 41 c1 ea 1f 46 3b 0c d5 @0 75 >slow 46 8b 14 d5 @4 "
#define STORE            "64 4c 89 14 25 #tmp "
#define LABEL_LOOKUP_R10 "45 69 d2 00 00 00 80 41 c1 ea 1f 4e 8b 14 d5 @0 64 44 3b 14 25 #tmp 75 >slow 49 c1 ea 20 "
/* Those with the guest's index, in r10. */
#define INDEXED_LOOKUP     "41 81 e2 01 00 00 00 42 3b 04 d5 @0 75 >slow 46 8b 14 d5 @4 "
#define INDEXED_LOOKUP_R9  "41 81 e2 01 00 00 00 46 3b 0c d5 @0 75 >slow 46 8b 14 d5 @4 "
#define INDEXED_LOOKUP_R10 "41 81 e2 01 00 00 00 4e 8b 14 d5 @0 64 44 3b 14 25 #tmp 75 >slow 49 c1 ea 20 "
#define SLOW               "slow: 4c 8b d0 e9 >JUMP "
/* The same where flags lie on the stack; and where the target is found, they are forgotten. */
#define SLOW_WITH_FLAGS  "slow: 9d 4c 8b d0 e9 >JUMP "
#define FORGET_FLAGS     "48 8d 64 24 08 "
#define BASE             "64 4c 8b 14 25 #memory "
#define SOURCE           "89 f6 4a 8d 34 16 "
#define DESTINATION      "89 ff 4a 8d 3c 17 "
#define SOURCE_BACK      "4a 8d 74 16 01 "
#define DESTINATION_BACK "4a 8d 7c 17 01 "
#define FORGET           "45 0f b6 d2 "

/* clang-format off */
static const char *const accepted[] = {
    /* plain instructions, memory, the words of x86_cpu_tls */
    "48 01 d8 c3", "65 67 48 8b 44 8b 08 c3", "65 67 41 8b 03 c3", "65 67 f0 48 0f b1 0a c3", "65 67 66 0f 6f 00 c3", "65 67 f3 0f 10 00 c3",
    "65 67 8b 04 25 00 00 40 00 c3", "65 67 a1 00 00 40 00 c3", "65 67 d7 c3", "65 67 66 0f f7 c1 c3", "88 c4 c3", "0f 94 c4 c3",
    "64 4c 8b 14 25 #r10 c3", "64 4c 89 14 25 #r11 c3", "64 48 03 04 25 #r10 c3", "64 83 3c 25 #r11 05 c3", "64 4c 89 14 25 #tmp c3",
    "64 48 8b 04 25 #borrowed0 c3", "64 48 89 04 25 #borrowed1 c3", "64 48 8b 04 25 #fs c3", "64 48 8b 04 25 #gs c3",
    "64 8b 04 25 #id c3", "48 8d 44 0b 01 c3", "67 8d 04 03 c3", "65 67 0f ba 20 05 c3", "fd fc c3", "65 67 0f ae 10 c3", "65 67 0f ae 18 c3",
    "65 67 d9 28 c3", "d9 e8 c3", "65 67 db 38 c3", "f2 0f 38 f1 c0 c3", "f3 90 c3",
    /* branches */
    "eb fe c3", "e9 >>x 31 c0 x: c3", "75 >x 31 c0 x: c3", "0f 85 >>x x: c3", "x: e2 >x c3", "67 e3 >x x: c3", "0f 85 >UNWIND c3", "e9 >JUMP c3",
    "e9 >EVALUATE cc cc c3",
    /* calls and returns */
    "e8 >>f " RETURN_POINT "c3 f: c3", "e8 >>f " RETURN_POINT_WITH_FLAGS "c3 f: c3", "e8 >SYSCALL c3", "e8 >JUMP " RETURN_POINT "c3",
    "b: 49 81 fa 00 00 00 00 0f 85 >UNWIND c3 e8 >JUMP eb >b", "9c 41 5a c3",
    /* indirect ones */
    CODE_MAP_LOOKUP "41 ff e2 " SLOW, CODE_MAP_LOOKUP_R9 "41 ff e2 " SLOW, CODE_MAP_LOOKUP_R10 "41 ff e2 " SLOW,
    CODE_MAP_LOOKUP "41 ff d2 " RETURN_POINT "c3 " SLOW, CODE_MAP_LOOKUP "41 ff d2 " RETURN_POINT_WITH_FLAGS "c3 " SLOW,
    INDEXED_LOOKUP "41 ff e2 " SLOW, INDEXED_LOOKUP_R9 "41 ff e2 " SLOW, INDEXED_LOOKUP_R10 "41 ff e2 " SLOW,
    "9c " INDEXED_LOOKUP "9d 41 ff e2 slow: 9d 4c 8b d0 e9 >JUMP", STORE INDEXED_LOOKUP_R10 "41 ff e2 " SLOW,
    LABEL_LOOKUP "41 ff e2 " SLOW, LABEL_LOOKUP_R9 "41 ff e2 " SLOW, STORE LABEL_LOOKUP_R10 "41 ff e2 " SLOW,
    "9c " LABEL_LOOKUP "9d 41 ff e2 slow: 9d 4c 8b d0 e9 >JUMP", STORE "9c " LABEL_LOOKUP_R10 "9d 41 ff e2 slow: 9d e9 >JUMP",
    "9c " CODE_MAP_LOOKUP FORGET_FLAGS "41 ff e2 " SLOW_WITH_FLAGS, "9c " CODE_MAP_LOOKUP_R9 FORGET_FLAGS "41 ff e2 " SLOW_WITH_FLAGS,
    "9c " CODE_MAP_LOOKUP_R10 FORGET_FLAGS "41 ff d2 " RETURN_POINT "c3 " SLOW_WITH_FLAGS,
    "9c " LABEL_LOOKUP FORGET_FLAGS "41 ff e2 " SLOW_WITH_FLAGS, "9c " INDEXED_LOOKUP_R9 FORGET_FLAGS "41 ff e2 " SLOW_WITH_FLAGS,
    STORE "9c " LABEL_LOOKUP_R10 FORGET_FLAGS "41 ff e2 slow: 9d e9 >JUMP",
    /* strings */
    BASE SOURCE DESTINATION "f3 48 a5 49 f7 d2 " SOURCE_BACK DESTINATION_BACK FORGET "c3",
    BASE SOURCE DESTINATION "f3 a6 49 f7 d2 " SOURCE_BACK DESTINATION_BACK FORGET "c3",
    BASE DESTINATION "f3 aa 49 f7 d2 " DESTINATION_BACK FORGET "c3", BASE DESTINATION "f2 ae 49 f7 d2 " DESTINATION_BACK FORGET "c3",
    BASE SOURCE "66 ad 49 f7 d2 " SOURCE_BACK FORGET "c3",
};
/* clang-format on */

/* At level v3. */
/* clang-format off */
static const char *const accepted_v3[] = {
    "c5 f8 77 c3", "c5 fc 77 c3", "65 67 c5 fd 6f 00 c3", "65 67 c4 c1 7d 7f 03 c3", "65 67 c5 fc 58 44 8b 10 c3", "c4 e2 78 f2 c3 c3",
    "65 67 c4 e2 6d 90 04 48 c3", "65 67 c4 e2 6d 90 04 60 c3", /* gathers; the index of the second is vector 4 */
    "65 67 c4 e2 6d 2e 00 c3", "65 67 c5 f9 f7 c1 c3", "65 67 c5 f8 ae 10 c3", "c4 e2 f5 b8 c2 c3", "c4 e2 7d 13 c1 c3", "c5 f9 7e c0 c3",
    "66 0f 38 dc c1 c3", "c4 e2 71 dc c2 c3", "66 0f 3a 44 c1 00 c3", "0f 38 cb c1 c3", "f3 0f bd c1 c3", "65 67 0f 38 f0 00 c3",
};
/* clang-format on */

#define BIT(rule) (1ull << VERIFY_##rule)

struct refused {
    enum verify_rule rule;
    const char *text;
    uint64_t also; /* other rules that it breaks */
};

static const struct refused refused_v3[] = {
    /* VEX has these prefixes in it: before it they are #UD */
    {VERIFY_DECODE, "66 c5 f8 77 c3", 0},
    {VERIFY_DECODE, "f2 c5 f8 77 c3", 0},
    {VERIFY_DECODE, "f3 c5 f8 77 c3", 0},
    {VERIFY_DECODE, "f0 c5 f8 77 c3", 0},
    {VERIFY_DECODE, "48 c5 f8 77 c3", 0},
    {VERIFY_DECODE, "40 c4 e2 78 f2 c3 c3", 0},
    {VERIFY_DECODE, "62 f1 7d 48 58 c0 c3", BIT(ALLOWED) | BIT(CONFINED) | BIT(TARGET)}, /* EVEX */
    {VERIFY_DECODE, "8f e9 78 81 c0 c3", BIT(ALLOWED) | BIT(TARGET)},                    /* XOP */
    {VERIFY_PREFIX, "65 c5 f8 77 c3", 0},
    {VERIFY_PREFIX, "67 c5 f8 77 c3", 0},
    {VERIFY_PREFIX, "67 65 c5 fd 6f 00 c3", 0},
    {VERIFY_PREFIX, "65 65 67 c5 fd 6f 00 c3", 0},
    {VERIFY_ALLOWED, "c5 f8 53 c1 c3", 0},    /* vrcpps */
    {VERIFY_ALLOWED, "c5 f2 52 c2 c3", 0},    /* vrsqrtss */
    {VERIFY_ALLOWED, "66 0f 38 f6 c1 c3", 0}, /* adcx */
    {VERIFY_ALLOWED, "0f 01 d0 c3", 0},       /* xgetbv */
    {VERIFY_RSP, "c4 e2 58 f2 c3 c3", 0},     /* in VEX.vvvv */
    {VERIFY_RSP, "c4 e2 78 f2 c4 c3", 0},
    {VERIFY_RSP, "c4 e2 78 f2 e3 c3", 0},
    {VERIFY_RSP, "c5 f9 7e c4 c3", 0}, /* vmovd esp */
    {VERIFY_RSP, "c4 e3 79 16 c4 00 c3", 0},
    {VERIFY_RSP, "c5 fb 2d e0 c3", 0},
    {VERIFY_RSP, "65 67 c5 fd 6f 04 24 c3", 0},
    {VERIFY_RSP, "65 67 c4 e2 6d 90 04 4c c3", 0},
    {VERIFY_CONFINED, "c5 fd 6f 00 c3", 0},
    {VERIFY_CONFINED, "65 c5 fd 6f 00 c3", 0},
    {VERIFY_CONFINED, "67 c5 fd 6f 00 c3", 0},
    {VERIFY_CONFINED, "c4 e2 78 f2 03 c3", 0},
    {VERIFY_CONFINED, "c4 e2 6d 90 04 48 c3", 0}, /* a gather */
    {VERIFY_CONFINED, "65 c4 e2 6d 90 04 48 c3", 0},
    {VERIFY_CONFINED, "67 c4 e2 6d 90 04 48 c3", 0},
    {VERIFY_CONFINED, "c5 f9 f7 c1 c3", 0}, /* vmaskmovdqu */
    {VERIFY_CONFINED, "65 c5 f9 f7 c1 c3", 0},
    {VERIFY_CONFINED, "c4 e2 6d 2e 00 c3", 0}, /* vmaskmovps */
    {VERIFY_RIP, "65 67 c5 fd 6f 05 00 00 00 00 c3", 0},
    {VERIFY_FS, "64 c5 fd 6f 04 25 #tmp c3", 0},
    {VERIFY_FS, "64 c5 f9 6e 04 25 #r10 c3", 0},
    {VERIFY_FS, "64 c4 e2 78 f2 04 25 #r10 c3", 0},
    {VERIFY_FS, "64 c4 e2 6d 90 04 48 c3", 0},
};

/* clang-format off */
static const struct refused refused[] = {
    /* what level v2 does not have */
    {VERIFY_DECODE, "c4 e2 78 f2 c3 c3", BIT(PREFIX) | BIT(TARGET)}, /* andn */
    {VERIFY_ALLOWED, "66 0f 38 dc c1 c3", 0},   /* aesenc */
    {VERIFY_ALLOWED, "66 0f 3a 44 c1 00 c3", 0},
    {VERIFY_ALLOWED, "0f 38 cb c1 c3", 0},      /* sha256rnds2 */
    {VERIFY_ALLOWED, "f3 0f bd c1 c3", 0},      /* lzcnt */
    {VERIFY_ALLOWED, "65 67 0f 38 f0 00 c3", 0}, /* movbe */

    {VERIFY_DECODE, "06 c3", 0}, /* in 64-bit mode */
    {VERIFY_DECODE, "0f 04 c3", BIT(FALL)},
    {VERIFY_DECODE, "c3 b8 00 00", BIT(CONFINED) | BIT(FALL)}, /* cut off */
    {VERIFY_DECODE, "c3 65 67 48", BIT(FALL)},
    {VERIFY_DECODE, "62 f1 7d 48 58 c0 c3", BIT(ALLOWED) | BIT(CONFINED) | BIT(TARGET)}, /* EVEX */
    {VERIFY_DECODE, "c5 f8 77 c3", BIT(TARGET) | BIT(FALL)},                         /* VEX */
    {VERIFY_DECODE, "65 67 65 67 65 67 65 67 65 67 65 67 65 67 8b 00 c3", BIT(PREFIX)},      /* 15 bytes are enough */

    {VERIFY_PREFIX, "67 65 8b 00 c3", 0},
    {VERIFY_PREFIX, "65 65 67 8b 00 c3", 0},
    {VERIFY_PREFIX, "64 65 67 8b 00 c3", 0},
    {VERIFY_PREFIX, "2e 01 c0 c3", 0},
    {VERIFY_PREFIX, "3e 01 c0 c3", 0},
    {VERIFY_PREFIX, "f3 01 c0 c3", 0},
    {VERIFY_PREFIX, "f2 c3", 0},               /* bnd ret */
    {VERIFY_PREFIX, "66 c3", 0},               /* 2 bytes from the stack */
    {VERIFY_PREFIX, "66 0f 84 >>x x: c3", 0},  /* AMD's take 2 bytes of displacement */
    {VERIFY_PREFIX, "66 e9 >>x x: c3", 0},
    {VERIFY_PREFIX, "66 e8 >>x " RETURN_POINT "x: c3", 0},
    {VERIFY_PREFIX, "2e 75 >x x: c3", 0},
    {VERIFY_PREFIX, "48 66 01 c0 c3", 0},      /* REX before another prefix */
    {VERIFY_PREFIX, "40 48 01 c0 c3", 0},
    {VERIFY_PREFIX, "67 01 c0 c3", 0},
    {VERIFY_PREFIX, "65 01 c0 c3", 0},
    {VERIFY_PREFIX, "f0 01 c0 c3", 0},
    {VERIFY_PREFIX, "65 67 f0 8b 00 c3", 0},
    {VERIFY_PREFIX, "65 67 f0 f2 01 00 c3", 0}, /* XACQUIRE */
    {VERIFY_PREFIX, "65 67 f3 89 00 c3", 0},    /* XRELEASE */
    {VERIFY_PREFIX, "66 88 c1 c3", 0},
    {VERIFY_PREFIX, "65 8d 00 c3", 0},

    {VERIFY_ALLOWED, "0f 05 c3", 0},            /* syscall */
    {VERIFY_ALLOWED, "0f 34 c3", 0},            /* sysenter */
    {VERIFY_ALLOWED, "cd 80 c3", 0},
    {VERIFY_ALLOWED, "f1 c3", 0},
    {VERIFY_ALLOWED, "0f 0b c3", 0},
    {VERIFY_ALLOWED, "f4 c3", 0},
    {VERIFY_ALLOWED, "ec c3", 0},
    {VERIFY_ALLOWED, "6c c3", 0},
    {VERIFY_ALLOWED, "fa c3", 0},
    {VERIFY_ALLOWED, "0f 30 c3", 0},            /* wrmsr */
    {VERIFY_ALLOWED, "0f 22 c0 c3", 0},
    {VERIFY_ALLOWED, "0f 01 f8 c3", 0},         /* swapgs */
    {VERIFY_ALLOWED, "0f a2 c3", 0},            /* cpuid */
    {VERIFY_ALLOWED, "0f 31 c3", 0},
    {VERIFY_ALLOWED, "0f 01 f9 c3", 0},
    {VERIFY_ALLOWED, "f3 0f c7 f8 c3", 0},      /* rdpid */
    {VERIFY_ALLOWED, "0f c7 f0 c3", 0},         /* rdrand */
    {VERIFY_ALLOWED, "0f c7 f8 c3", 0},
    {VERIFY_ALLOWED, "0f 01 d0 c3", 0},         /* xgetbv */
    {VERIFY_ALLOWED, "0f 01 d1 c3", 0},
    {VERIFY_ALLOWED, "f3 48 0f ae c0 c3", 0},   /* rdfsbase */
    {VERIFY_ALLOWED, "f3 48 0f ae d8 c3", 0},   /* wrgsbase */
    {VERIFY_ALLOWED, "8e e8 c3", 0},            /* mov gs, eax */
    {VERIFY_ALLOWED, "8c e8 c3", 0},
    {VERIFY_ALLOWED, "0f a1 c3", 0},            /* pop fs */
    {VERIFY_ALLOWED, "65 67 0f b5 00 c3", 0},   /* lgs */
    {VERIFY_ALLOWED, "65 67 0f 01 00 c3", 0},   /* sgdt */
    {VERIFY_ALLOWED, "65 67 0f ae 00 c3", 0},   /* fxsave */
    {VERIFY_ALLOWED, "65 67 0f ae 08 c3", 0},
    {VERIFY_ALLOWED, "65 67 0f ae 20 c3", 0},   /* xsave */
    {VERIFY_ALLOWED, "65 67 0f ae 28 c3", 0},
    {VERIFY_ALLOWED, "65 67 d9 30 c3", 0},      /* fnstenv */
    {VERIFY_ALLOWED, "65 67 dd 30 c3", 0},      /* fnsave */
    {VERIFY_ALLOWED, "65 67 d9 20 c3", 0},      /* fldenv */
    {VERIFY_ALLOWED, "65 67 dd 20 c3", 0},      /* frstor */
    {VERIFY_ALLOWED, "d9 fe c3", 0},            /* fsin */
    {VERIFY_ALLOWED, "0f 53 c1 c3", 0},         /* rcpps */
    {VERIFY_ALLOWED, "50 c3", 0},
    {VERIFY_ALLOWED, "58 c3", 0},
    {VERIFY_ALLOWED, "6a 00 c3", 0},
    {VERIFY_ALLOWED, "65 67 ff 30 c3", 0},
    {VERIFY_ALLOWED, "65 67 8f 00 c3", 0},
    {VERIFY_ALLOWED, "c8 00 00 00 c3", 0},
    {VERIFY_ALLOWED, "c9 c3", 0},
    {VERIFY_ALLOWED, "cb c3", 0},
    {VERIFY_ALLOWED, "cf", 0},
    {VERIFY_ALLOWED, "65 67 ff 28 c3", 0},      /* jmp far */
    {VERIFY_ALLOWED, "65 67 ff 18 c3", 0},
    {VERIFY_ALLOWED, "90 c3", 0},
    {VERIFY_ALLOWED, "65 67 0f 1a 00 c3", 0},   /* bndldx, where it is */
    {VERIFY_ALLOWED, "f3 48 0f 1e c8 c3", BIT(PREFIX)}, /* rdsspq */

    {VERIFY_RSP, "48 89 e0 c3", 0},
    {VERIFY_RSP, "48 89 c4 c3", 0},
    {VERIFY_RSP, "40 88 c4 c3", 0},             /* spl */
    {VERIFY_RSP, "40 0f 94 c4 c3", 0},
    {VERIFY_RSP, "94 c3", 0},
    {VERIFY_RSP, "0f cc c3", 0},
    {VERIFY_RSP, "bc 00 00 00 00 c3", 0},
    {VERIFY_RSP, "66 0f 7e c4 c3", 0},
    {VERIFY_RSP, "48 83 c4 08 c3", 0},
    {VERIFY_RSP, "48 8d 44 24 08 c3", 0},
    {VERIFY_RSP, FORGET_FLAGS "c3", 0},
    {VERIFY_RSP, "65 67 8b 04 24 c3", 0},
    {VERIFY_RSP, "64 48 8b 24 25 #r10 c3", 0},

    {VERIFY_STACK, "c2 08 00", 0},
    {VERIFY_STACK, "48 9c c3", 0},
    {VERIFY_STACK, "48 9d c3", 0},
    {VERIFY_STACK, "9c c3", 0},
    /* a return point that leaves elsewhere */
    {VERIFY_STACK, "9c 49 81 fa 00 00 00 00 74 06 9d e9 >JUMP 9d c3", BIT(FLAGS) | BIT(TARGET)},
    {VERIFY_STACK, "9c 49 81 fa 00 00 00 00 74 05 9d e9 >UNWIND 9d c3", BIT(FLAGS) | BIT(TARGET)},
    {VERIFY_STACK, "9c 9d c3", BIT(FLAGS)},
    /* the jump has them on the stack */
    {VERIFY_STACK, "9c " CODE_MAP_LOOKUP "41 ff e2 " SLOW_WITH_FLAGS, BIT(FLAGS) | BIT(TARGET)},

    {VERIFY_CONFINED, "8b 00 c3", 0},
    {VERIFY_CONFINED, "67 8b 00 c3", 0},
    {VERIFY_CONFINED, "65 8b 00 c3", 0},
    {VERIFY_CONFINED, "48 a1 00 00 00 00 00 00 00 00 c3", 0},
    {VERIFY_CONFINED, "d7 c3", 0},
    {VERIFY_CONFINED, "65 d7 c3", 0},
    {VERIFY_CONFINED, "66 0f f7 c1 c3", 0},
    {VERIFY_CONFINED, "65 0f f7 c1 c3", 0},
    {VERIFY_CONFINED, "4e 8b 14 d5 @0 c3", 0},
    {VERIFY_CONFINED, "65 0f ba 20 05 c3", 0},
    {VERIFY_CONFINED, "0f 18 08 c3", 0},
    {VERIFY_CONFINED, "65 db 38 c3", 0},

    {VERIFY_RIP, "48 8d 05 00 00 00 00 c3", 0},
    {VERIFY_RIP, "67 48 8d 05 00 00 00 00 c3", 0},
    {VERIFY_RIP, "65 67 8b 05 00 00 00 00 c3", 0},

    {VERIFY_FS, "64 48 8b 04 25 #limit c3", 0},
    {VERIFY_FS, "64 48 8b 04 25 00 00 00 00 c3", 0}, /* the thread's control block */
    {VERIFY_FS, "64 48 8b 04 25 28 00 00 00 c3", 0}, /* the stack protector's value */
    {VERIFY_FS, "64 48 89 04 25 #fs c3", 0},
    {VERIFY_FS, "64 48 89 04 25 #memory c3", 0},
    {VERIFY_FS, "64 8b 04 25 #memory c3", 0},
    {VERIFY_FS, "64 48 03 04 25 #memory c3", 0},
    {VERIFY_FS, "64 89 04 25 #id c3", 0},
    {VERIFY_FS, "64 48 8b 04 25 #id c3", 0},
    {VERIFY_FS, "64 8b 04 25 #tmp c3", 0},
    {VERIFY_FS, "64 48 03 04 25 #tmp c3", 0},
    {VERIFY_FS, "64 48 8b 04 25 #r12 c3", 0},
    {VERIFY_FS, "64 48 8b 00 c3", 0},
    {VERIFY_FS, "64 48 8b 80 #r10 c3", 0},
    {VERIFY_FS, "64 48 8b 04 05 #r10 c3", 0},        /* an index */
    {VERIFY_FS, "64 67 48 8b 04 25 #r10 c3", 0},     /* 4 GiB above */
    {VERIFY_FS, "64 0f 10 04 25 #r10 c3", 0},        /* 16 bytes */
    {VERIFY_FS, "64 db 3c 25 #r11 c3", 0},           /* 10 bytes */
    {VERIFY_FS, "64 48 a1 00 00 00 00 00 00 00 00 c3", 0},
    {VERIFY_FS, "64 d7 c3", 0},

    {VERIFY_BASE, BASE "c3", 0},
    {VERIFY_BASE, "64 48 8b 04 25 #memory c3", 0},
    /* sequences of string instructions with something missing */
    {VERIFY_BASE, BASE SOURCE DESTINATION "a4 49 f7 d2 " SOURCE_BACK DESTINATION_BACK "c3", BIT(STRING)},
    {VERIFY_BASE, BASE SOURCE DESTINATION "a4 49 f7 d2 " SOURCE_BACK FORGET "c3", BIT(STRING)},
    {VERIFY_BASE, BASE SOURCE "a4 49 f7 d2 " SOURCE_BACK FORGET "c3", BIT(STRING)},
    {VERIFY_BASE, BASE DESTINATION "a4 49 f7 d2 " DESTINATION_BACK FORGET "c3", BIT(STRING)},
    {VERIFY_BASE, BASE DESTINATION "ac 49 f7 d2 " DESTINATION_BACK FORGET "c3", BIT(STRING)},
    {VERIFY_BASE, BASE SOURCE "aa 49 f7 d2 " SOURCE_BACK FORGET "c3", BIT(STRING)},
    {VERIFY_BASE, BASE SOURCE DESTINATION "67 a4 49 f7 d2 " SOURCE_BACK DESTINATION_BACK FORGET "c3", BIT(STRING)},
    {VERIFY_BASE, BASE SOURCE DESTINATION "65 a4 49 f7 d2 " SOURCE_BACK DESTINATION_BACK FORGET "c3", BIT(STRING)},
    {VERIFY_BASE, BASE SOURCE DESTINATION "f3 66 a5 49 f7 d2 " SOURCE_BACK DESTINATION_BACK FORGET "c3", BIT(STRING) | BIT(PREFIX)},
    {VERIFY_BASE, BASE SOURCE DESTINATION "31 c0 49 f7 d2 " SOURCE_BACK DESTINATION_BACK FORGET "c3", 0},
    {VERIFY_BASE, BASE "4a 8d 3c 17 aa 49 f7 d2 " DESTINATION_BACK FORGET "c3", BIT(STRING)}, /* rdi has 64 bits */

    {VERIFY_BITS, "65 67 48 0f a3 00 c3", 0},
    {VERIFY_BITS, "65 67 f0 0f ab 00 c3", 0},
    {VERIFY_BITS, "65 67 0f b3 00 c3", 0},
    {VERIFY_BITS, "65 67 0f bb 00 c3", 0},
    {VERIFY_BITS, "64 48 0f a3 04 25 #r10 c3", 0},

    {VERIFY_STRING, "a4 c3", 0},
    {VERIFY_STRING, "f3 aa c3", 0},
    {VERIFY_STRING, "65 67 ac c3", 0},
    {VERIFY_STRING, "48 a7 c3", 0},
    {VERIFY_STRING, "f2 ae c3", 0},

    {VERIFY_TARGET, "eb 01 b8 00 00 00 00 c3", 0},                  /* the middle of an instruction */
    {VERIFY_TARGET, "75 01 b8 00 00 00 00 c3", 0},
    {VERIFY_TARGET, "e2 01 b8 00 00 00 00 c3", 0},
    {VERIFY_TARGET, "e8 0f 00 00 00 " RETURN_POINT "b8 00 00 00 00 c3", 0},
    {VERIFY_TARGET, "eb >x x: cc c3", 0},                           /* padding */
    {VERIFY_TARGET, "e9 00 00 00 10 c3", 0},                        /* out of the text */
    {VERIFY_TARGET, "e9 00 00 00 f0 c3", 0},
    {VERIFY_TARGET, "eb >x 31 c0 c3 x:", 0},                        /* behind its end */
    {VERIFY_TARGET, "e9 e7 ff ff ff c3", 0},                        /* into an entry's jump */
    {VERIFY_TARGET, "eb >x 48 f7 c0 0f 00 00 c0 75 >slow 44 8b d0 x: 41 c1 ea 04 65 67 46 8b 14 95 00 00 00 40 45 85 d2 74 >slow 41 ff e2 " SLOW, 0},
    {VERIFY_TARGET, "eb >x " CODE_MAP_LOOKUP "x: 41 ff e2 " SLOW, 0},
    {VERIFY_TARGET, "eb >x " INDEXED_LOOKUP "x: 41 ff e2 " SLOW, 0},
    {VERIFY_TARGET, "eb >x " LABEL_LOOKUP "x: 41 ff e2 " SLOW, 0},
    {VERIFY_TARGET, "eb >x " STORE "x: " LABEL_LOOKUP_R10 "41 ff e2 " SLOW, 0},
    {VERIFY_TARGET, "eb >x " BASE DESTINATION "x: f3 aa 49 f7 d2 " DESTINATION_BACK FORGET "c3", 0},
    {VERIFY_TARGET, "eb >x 9c x: 41 5a c3", 0},
    {VERIFY_TARGET, "eb >x 9c 49 81 fa 00 10 00 00 74 06 9d e9 >UNWIND x: 9d c3", 0},
    {VERIFY_TARGET, "eb >x c3 x: 9d c3", 0},
    {VERIFY_TARGET, CODE_MAP_LOOKUP "41 ff e2 " SLOW_WITH_FLAGS, 0},
    {VERIFY_TARGET, LABEL_LOOKUP "41 ff e2 slow: 9d 4c 8b d0 e9 >JUMP", 0}, /* to where flags are taken, without */

    {VERIFY_ENTRY, "e9 >SYSCALL c3", 0},
    {VERIFY_ENTRY, "75 .SYSCALL c3", 0},
    {VERIFY_ENTRY, "e8 >UNWIND " RETURN_POINT "c3", 0},
    {VERIFY_ENTRY, "e8 >EVALUATE " RETURN_POINT "c3", 0},
    /* with flags on the stack */
    {VERIFY_ENTRY, "9c 44 69 d0 00 00 00 80 41 c1 ea 1f 42 3b 04 d5 @0 75 .JUMP 46 8b 14 d5 @4 9d 41 ff e2", 0},

    {VERIFY_INDIRECT, "41 ff e2", 0},
    {VERIFY_INDIRECT, "ff e0", 0},
    {VERIFY_INDIRECT, "41 ff d2 " RETURN_POINT "c3", 0},
    {VERIFY_INDIRECT, "65 67 ff 20", 0},
    {VERIFY_INDIRECT, "65 67 ff 10 " RETURN_POINT "c3", 0},
    /* lookups in which one thing is wrong: the mask's bits at both ends, its width, the registers, the shift, the map's
     * place, the test */
    {VERIFY_INDIRECT, "48 f7 c0 0f 00 00 40 75 >slow 44 8b d0 41 c1 ea 04 65 67 46 8b 14 95 00 00 00 40 45 85 d2 74 >slow 41 ff e2 " SLOW, 0},
    {VERIFY_INDIRECT, "48 f7 c0 07 00 00 c0 75 >slow 44 8b d0 41 c1 ea 04 65 67 46 8b 14 95 00 00 00 40 45 85 d2 74 >slow 41 ff e2 " SLOW, 0},
    {VERIFY_INDIRECT, "f7 c0 0f 00 00 c0 75 >slow 44 8b d0 41 c1 ea 04 65 67 46 8b 14 95 00 00 00 40 45 85 d2 74 >slow 41 ff e2 " SLOW, 0},
    {VERIFY_INDIRECT, "48 f7 c1 0f 00 00 c0 75 >slow 44 8b d0 41 c1 ea 04 65 67 46 8b 14 95 00 00 00 40 45 85 d2 74 >slow 41 ff e2 " SLOW, 0},
    {VERIFY_INDIRECT, "49 f7 c0 0f 00 00 c0 75 >slow 44 8b d0 41 c1 ea 04 65 67 46 8b 14 95 00 00 00 40 45 85 d2 74 >slow 41 ff e2 " SLOW, 0},
    {VERIFY_INDIRECT, "48 f7 c0 0f 00 00 c0 74 >slow 44 8b d0 41 c1 ea 04 65 67 46 8b 14 95 00 00 00 40 45 85 d2 74 >slow 41 ff e2 " SLOW, 0},
    {VERIFY_INDIRECT, "48 f7 c0 0f 00 00 c0 75 >slow 44 8b d0 41 c1 ea 03 65 67 46 8b 14 95 00 00 00 40 45 85 d2 74 >slow 41 ff e2 " SLOW, 0},
    {VERIFY_INDIRECT, "48 f7 c0 0f 00 00 c0 75 >slow 44 8b d0 41 c1 ea 04 65 67 46 8b 14 95 00 00 00 60 45 85 d2 74 >slow 41 ff e2 " SLOW, 0},
    {VERIFY_INDIRECT, "48 f7 c0 0f 00 00 c0 75 >slow 44 8b d0 41 c1 ea 04 65 67 46 8b 14 d5 00 00 00 40 45 85 d2 74 >slow 41 ff e2 " SLOW, 0},
    {VERIFY_INDIRECT, "48 f7 c0 0f 00 00 c0 75 >slow 44 8b d0 41 c1 ea 04 65 67 4e 8b 14 95 00 00 00 40 45 85 d2 74 >slow 41 ff e2 " SLOW, 0},
    {VERIFY_INDIRECT, "48 f7 c0 0f 00 00 c0 75 >slow 44 8b d0 41 c1 ea 04 65 67 46 8b 14 95 00 00 00 40 45 85 d2 75 >slow 41 ff e2 " SLOW, 0},
    {VERIFY_INDIRECT, "48 f7 c0 0f 00 00 c0 75 >slow 44 8b d0 41 c1 ea 04 65 67 46 8b 14 95 00 00 00 40 45 85 d2 74 >slow ff e2 " SLOW, 0},
    {VERIFY_INDIRECT, "48 f7 c4 0f 00 00 c0 75 >slow 44 8b d4 41 c1 ea 04 65 67 46 8b 14 95 00 00 00 40 45 85 d2 74 >slow 41 ff e2 " SLOW, BIT(RSP)},
    {VERIFY_INDIRECT, CODE_MAP_LOOKUP FORGET_FLAGS "41 ff e2 " SLOW, BIT(RSP)},
    {VERIFY_INDIRECT, LABEL_LOOKUP FORGET_FLAGS "41 ff e2 " SLOW, BIT(CONFINED) | BIT(RSP)},
    {VERIFY_INDIRECT, "9c " CODE_MAP_LOOKUP "48 8d 64 24 10 41 ff e2 " SLOW_WITH_FLAGS, BIT(STACK) | BIT(RSP) | BIT(FLAGS) | BIT(TARGET)},
    {VERIFY_INDIRECT, "41 81 e2 02 00 00 00 42 3b 04 d5 @0 75 >slow 46 8b 14 d5 @4 41 ff e2 " SLOW, BIT(CONFINED)},
    {VERIFY_INDIRECT, "41 81 e2 00 00 00 00 42 3b 04 d5 @0 75 >slow 46 8b 14 d5 @4 41 ff e2 " SLOW, BIT(CONFINED)},
    {VERIFY_INDIRECT, "41 81 e2 ff ff ff ff 42 3b 04 d5 @0 75 >slow 46 8b 14 d5 @4 41 ff e2 " SLOW, BIT(CONFINED)},
    {VERIFY_INDIRECT, "41 81 e1 01 00 00 00 42 3b 04 d5 @0 75 >slow 46 8b 14 d5 @4 41 ff e2 " SLOW, BIT(CONFINED)},
    {VERIFY_INDIRECT, "41 81 ca 01 00 00 00 42 3b 04 d5 @0 75 >slow 46 8b 14 d5 @4 41 ff e2 " SLOW, BIT(CONFINED)},
    {VERIFY_INDIRECT, "41 81 e2 01 00 00 00 46 3b 14 d5 @0 75 >slow 46 8b 14 d5 @4 41 ff e2 " SLOW, BIT(CONFINED)},
    {VERIFY_INDIRECT, "41 81 e2 01 00 00 00 42 3b 04 d5 @0 75 >slow 46 8b 14 d5 @8 41 ff e2 " SLOW, BIT(CONFINED)},
    {VERIFY_INDIRECT, "44 69 d0 00 00 00 80 41 c1 ea 1f 42 3b 0c d5 @0 75 >slow 46 8b 14 d5 @4 41 ff e2 " SLOW, BIT(CONFINED)},
    {VERIFY_INDIRECT, "44 69 d0 00 00 00 80 41 c1 ea 1f 42 3b 04 d5 @0 75 >slow 46 8b 14 d5 @8 41 ff e2 " SLOW, BIT(CONFINED)},
    {VERIFY_INDIRECT, "44 69 d0 00 00 00 80 41 c1 ea 00 42 3b 04 d5 @0 75 >slow 46 8b 14 d5 @4 41 ff e2 " SLOW, BIT(CONFINED)},
    {VERIFY_INDIRECT, "44 69 d0 00 00 00 80 41 c1 ea 20 42 3b 04 d5 @0 75 >slow 46 8b 14 d5 @4 41 ff e2 " SLOW, BIT(CONFINED)},
    {VERIFY_INDIRECT, "44 69 d0 00 00 00 80 49 c1 ea 1f 42 3b 04 d5 @0 75 >slow 46 8b 14 d5 @4 41 ff e2 " SLOW, BIT(CONFINED)},
    {VERIFY_INDIRECT, "44 69 d0 00 00 00 80 41 c1 ea 1f 42 3b 04 d5 @0 74 >slow 46 8b 14 d5 @4 41 ff e2 " SLOW, BIT(CONFINED)},
    /* what is compared may not be what was hashed */
    {VERIFY_INDIRECT, LABEL_LOOKUP_R10 "41 ff e2 " SLOW, BIT(CONFINED) | BIT(FS)},
    {VERIFY_INDIRECT, STORE "31 c0 " LABEL_LOOKUP_R10 "41 ff e2 " SLOW, BIT(CONFINED) | BIT(FS)},
    {VERIFY_INDIRECT, "64 4c 89 1c 25 #tmp " LABEL_LOOKUP_R10 "41 ff e2 " SLOW, BIT(CONFINED) | BIT(FS)},
    {VERIFY_INDIRECT, STORE "45 69 d2 00 00 00 80 41 c1 ea 1f 4e 8b 14 d5 @0 64 44 3b 14 25 #r10 75 >slow 49 c1 ea 20 41 ff e2 " SLOW, BIT(CONFINED)},
    {VERIFY_INDIRECT, STORE "45 69 d2 00 00 00 80 41 c1 ea 1f 4e 8b 14 d5 @0 64 44 3b 14 25 #tmp 75 >slow 49 c1 ea 1f 41 ff e2 " SLOW, BIT(CONFINED) | BIT(FS)},

    {VERIFY_RETURN, "e8 >>f c3 f: c3", 0},
    {VERIFY_RETURN, "e8 >JUMP c3", 0},
    {VERIFY_RETURN, "e8 >>f 49 81 fa 00 10 00 00 0f 84 >UNWIND c3 f: c3", 0},
    {VERIFY_RETURN, "e8 >>f 49 81 fa 00 10 00 00 0f 85 >JUMP c3 f: c3", 0},
    {VERIFY_RETURN, "e8 >>f 49 81 fb 00 10 00 00 0f 85 >UNWIND c3 f: c3", 0},
    {VERIFY_RETURN, "e8 >>f eb >b b: c3 f: c3", 0},
    {VERIFY_RETURN, CODE_MAP_LOOKUP "41 ff d2 c3 " SLOW, 0},

    {VERIFY_FALL, "31 c0 cc c3", 0},
    {VERIFY_FALL, "31 c0", 0},
    {VERIFY_FALL, "75 >x x: 31 c0", 0},
    {VERIFY_FALL, "e8 >SYSCALL", 0},
    {VERIFY_FALL, "e8 >SYSCALL cc c3", 0},

    {VERIFY_FLAGS, "31 c0 9d c3", 0},
    {VERIFY_FLAGS, "9c " CODE_MAP_LOOKUP FORGET_FLAGS "41 ff e2 " SLOW, 0}, /* stay there */
    {VERIFY_FLAGS, "9c " LABEL_LOOKUP FORGET_FLAGS "41 ff e2 " SLOW, 0},
    {VERIFY_FLAGS, "9c " LABEL_LOOKUP "9d 41 ff e2 " SLOW, 0},
};
/* clang-format on */

static int
verify_without(struct maker *m, uint64_t off, enum verify_rule *broken, struct err *e)
{
    struct verify_places places;
    int result;

    *e = (struct err){0};
    result = verify_unit_without(maker_unit(m), off, &places, broken, e);
    verify_places_fini(&places);
    return result;
}

/* A table of two labels that lead to the RET, which is the unit's first instruction. */
static void
make(struct maker *m, const char *text)
{
    maker_text(m, text);
    maker_label(m, 0x1000, MAKER_TEXT + VERIFY_ENTRIES_SIZE);
    maker_label(m, 0x1001, MAKER_TEXT + VERIFY_ENTRIES_SIZE);
}

static void
expect_accepted(const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct verify_places places;
        struct maker m;
        struct err e;

        make(&m, texts[i]);
        if (verify_unit(maker_unit(&m), &places, &e) < 0)
            fail_msg("%s: %s", texts[i], e.text);
        if (recheck(&m.unit, &places))
            fail_msg("%s: %s", texts[i], recheck(&m.unit, &places));
        verify_places_fini(&places);
        maker_fini(&m);
    }
}

static void
test_accepted(void **state)
{
    expect_accepted(accepted, sizeof accepted / sizeof *accepted);
    x86_set_level(X86_LEVEL_V3); /* the same, and more */
    expect_accepted(accepted, sizeof accepted / sizeof *accepted);
    expect_accepted(accepted_v3, sizeof accepted_v3 / sizeof *accepted_v3);
    x86_set_level(X86_LEVEL_V2);
}

/* Rules that have other tests below. */
static uint64_t tested = BIT(ENTRIES) | BIT(LABELS) | BIT(MAP) | BIT(PLACE) | BIT(CODE_MAP);

static void
expect_refused(struct maker *m, enum verify_rule rule, uint64_t also, const char *what)
{
    enum verify_rule broken;
    struct err e;

    if (verify_without(m, also, &broken, &e) == 0)
        fail_msg("%s: accepted", what);
    if (broken != rule)
        fail_msg("%s: not refused by rule %d, but: %s", what, rule, e.text);
    assert_non_null(strstr(e.text, "host address 0x3000"));
    if (verify_without(m, also | 1ull << rule, &broken, &e) < 0)
        fail_msg("%s: breaks another rule, too: %s", what, e.text);
    if (also && verify_without(m, 1ull << rule, &broken, &e) == 0)
        fail_msg("%s: breaks no other rule", what);
}

static void
expect_all_refused(const struct refused *units, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct maker m;

        make(&m, units[i].text);
        expect_refused(&m, units[i].rule, units[i].also, units[i].text);
        maker_fini(&m);
        tested |= 1ull << units[i].rule;
    }
}

static void
test_refused(void **state)
{
    expect_all_refused(refused, sizeof refused / sizeof *refused);
    x86_set_level(X86_LEVEL_V3);
    expect_all_refused(refused_v3, sizeof refused_v3 / sizeof *refused_v3);
    x86_set_level(X86_LEVEL_V2);
    for (unsigned rule = 0; rule < VERIFY_RULE_COUNT; rule++)
        assert_true(tested >> rule & 1);
}

static void
test_entries(void **state)
{
    for (unsigned i = 0; i < DIRECT_ENTRY_COUNT; i++) {
        struct maker m;

        maker_text(&m, "c3");
        m.text.data[i * VERIFY_ENTRY_SIZE + 1] ^= 1;
        expect_refused(&m, VERIFY_ENTRIES, 0, "an entry that leads elsewhere");
        m.text.data[i * VERIFY_ENTRY_SIZE + 1] ^= 1;
        m.text.data[i * VERIFY_ENTRY_SIZE] = 0xe8;
        expect_refused(&m, VERIFY_ENTRIES, 0, "an entry that is called");
        maker_fini(&m);
    }
}

/* Every bit of every accepted text, of its tables and its map: turned, it is refused, or accepted rightly. */
static void
flip_all(struct maker *m, struct buf *part, const char *what, unsigned *accepted_count, unsigned *refused_count)
{
    for (size_t bit = 0; bit < 8 * part->size; bit++) {
        struct verify_places places;
        const char *wrong = NULL;
        struct err e;

        part->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (verify_unit(maker_unit(m), &places, &e) == 0) {
            wrong = recheck(&m->unit, &places);
            ++*accepted_count;
        } else {
            ++*refused_count;
        }
        verify_places_fini(&places);
        if (wrong)
            fail_msg("%s: bit %zu: %s", what, bit, wrong);
        part->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void
flip_each(const char *const *texts, size_t count, unsigned *accepted_count, unsigned *refused_count)
{
    for (size_t i = 0; i < count; i++) {
        struct maker m;

        make(&m, texts[i]);
        flip_all(&m, &m.text, texts[i], accepted_count, refused_count);
        flip_all(&m, &m.tables, texts[i], accepted_count, refused_count);
        flip_all(&m, &m.map, texts[i], accepted_count, refused_count);
        flip_all(&m, &m.index, texts[i], accepted_count, refused_count);
        maker_fini(&m);
    }
}

static void
test_flips(void **state)
{
    unsigned accepted_count = 0, refused_count = 0;

    flip_each(accepted, sizeof accepted / sizeof *accepted, &accepted_count, &refused_count);
    x86_set_level(X86_LEVEL_V3);
    flip_each(accepted, sizeof accepted / sizeof *accepted, &accepted_count, &refused_count);
    flip_each(accepted_v3, sizeof accepted_v3 / sizeof *accepted_v3, &accepted_count, &refused_count);
    x86_set_level(X86_LEVEL_V2);
    printf("of %u units with a bit turned %u are refused\n", accepted_count + refused_count, refused_count);
    assert_true(refused_count > accepted_count && accepted_count > 1000);
}

/* --- tables of labels --- */

static void
expect_labels(const char *lookup, uint32_t guest, uint32_t host, bool good)
{
    enum verify_rule broken;
    struct maker m;
    struct err e;

    maker_text(&m, lookup);
    maker_label(&m, 0x1000, MAKER_TEXT + VERIFY_ENTRIES_SIZE);
    maker_label(&m, guest, host);
    if (good)
        assert_int_equal(verify_without(&m, 0, &broken, &e), 0);
    else
        expect_refused(&m, VERIFY_LABELS, 0, "a label");
    maker_fini(&m);
}

static void
expect_labels_of(const char *lookup, bool indexed)
{
    expect_labels(lookup, 0x1001, MAKER_TEXT + VERIFY_ENTRIES_SIZE, true);
    expect_labels(lookup, 0x1001, MAKER_TEXT, false);                           /* an entry */
    expect_labels(lookup, 0x1001, MAKER_TEXT + VERIFY_ENTRIES_SIZE + 2, false); /* the middle of an instruction */
    expect_labels(lookup, 0x1001, MAKER_TEXT + VERIFY_ENTRIES_SIZE + 8, false); /* the middle of a sequence */
    expect_labels(lookup, 0x1001, MAKER_TEXT - 1, false);
    expect_labels(lookup, 0x1001, 0, false);
    expect_labels(lookup, 0x1001, MAKER_TEXT + 0x10000, false);
    expect_labels(lookup, 0, 0, !indexed); /* would be looked for in the first entry */
    expect_labels(lookup, 0x1000, 0, !indexed);
}

static void
test_labels(void **state)
{
    struct maker m;

    expect_labels_of(LABEL_LOOKUP "41 ff e2 " SLOW, false);
    expect_labels_of(INDEXED_LOOKUP "41 ff e2 " SLOW, true);
    /* The first entry is the one of 0. */
    maker_text(&m, LABEL_LOOKUP "41 ff e2 " SLOW);
    maker_label(&m, 0, 0);
    maker_label(&m, 0x1001, MAKER_TEXT + VERIFY_ENTRIES_SIZE);
    expect_refused(&m, VERIFY_LABELS, 0, "an empty first entry");
    /* A table that ends too early, and one before the tables. */
    m.tables.size = 8;
    expect_refused(&m, VERIFY_LABELS, 0, "a table that is cut off");
    m.tables.size = 0;
    expect_refused(&m, VERIFY_LABELS, 0, "no tables");
    maker_fini(&m);
    /* The same table, looked into in two ways. */
    maker_text(&m, LABEL_LOOKUP
               "41 ff e2 44 69 d0 00 00 00 40 41 c1 ea 1f 42 3b 04 d5 @0 75 >slow 46 8b 14 d5 @4 41 ff e2 " SLOW);
    maker_label(&m, 0x1000, MAKER_TEXT + VERIFY_ENTRIES_SIZE);
    maker_label(&m, 0x1001, MAKER_TEXT + VERIFY_ENTRIES_SIZE);
    expect_refused(&m, VERIFY_LABELS, 0, "tables that overlap");
    maker_fini(&m);
    maker_text(
        &m, "44 69 d0 00 00 00 80 41 c1 ea 1f 42 3b 04 d5 ff ff ff 30 75 >slow 46 8b 14 d5 03 00 00 31 41 ff e2 " SLOW);
    maker_label(&m, 0x1000, MAKER_TEXT + VERIFY_ENTRIES_SIZE);
    maker_label(&m, 0x1001, MAKER_TEXT + VERIFY_ENTRIES_SIZE);
    expect_refused(&m, VERIFY_LABELS, 0, "a table before the tables");
    maker_fini(&m);
}

/* --- the map --- */

static void
set_map(struct maker *m, const void *map, size_t map_size, const uint32_t *index, size_t words)
{
    m->map.size = m->index.size = 0;
    buf_put(&m->map, map, map_size);
    for (size_t i = 0; i < words; i++)
        buf_put_u32(&m->index, index[i]);
}

#define MAP(...)   (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
#define INDEX(...) (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4

enum { AT = VERIFY_ENTRIES_SIZE };

static void
expect_map(bool good, enum verify_rule rule, const void *map, size_t map_size, const uint32_t *index, size_t words)
{
    enum verify_rule broken;
    struct maker m;
    struct err e = {0};

    maker_text(&m, "31 c0 01 c0 9c 41 5a c3"); /* behind the RET: 21, 23, 25 (a sequence), 28 */
    set_map(&m, map, map_size, index, words);
    if (good && verify_without(&m, 0, &broken, &e) < 0)
        fail_msg("%s", e.text);
    if (!good)
        expect_refused(&m, rule, 0, "a map");
    maker_fini(&m);
}

static void
test_map(void **state)
{
    expect_map(true, 0, MAP(0x11, 0x22, 0x22, 0x13, 0x11), INDEX(0, AT, 0, 7, AT + 9, 5));
    /* a gap, a run, a long instruction, a place in between */
    expect_map(true, 0, MAP(0x11, 0, 3, 2, 0x22, 0x01, 0x2f, 4), INDEX(0, AT, 0, 4, AT + 3, 4, 8, AT + 9, 8));
    /* in a run, too */
    expect_map(false, VERIFY_PLACE, MAP(0x11, 0x22, 0x22, 0x12, 0x01, 0x11, 0x11), INDEX(0, AT, 0, 8, AT + 9, 7));
    /* nothing */
    expect_map(true, 0, MAP(0x11), INDEX(0, AT, 0, 1, AT + 1, 1));
    /* clean in the middle of an instruction, of a sequence, before the text, at its end */
    expect_map(false, VERIFY_PLACE, MAP(0x12, 0x21), INDEX(0, AT, 0, 3, AT + 3, 2));
    expect_map(false, VERIFY_PLACE, MAP(0x11, 0x22, 0x22, 0x12, 0x11, 0x11), INDEX(0, AT, 0, 8, AT + 9, 6));
    expect_map(false, VERIFY_PLACE, MAP(0x11), INDEX(0, 0, 0, 1, 1, 1));
    expect_map(false, VERIFY_PLACE, MAP(0x11), INDEX(0, 5, 0, 1, 6, 1));
    expect_map(false, VERIFY_PLACE, MAP(0x10), INDEX(0, AT + 9, 0, 1, AT + 9, 1));
    /* what the run time reads otherwise */
    expect_map(false, VERIFY_MAP, MAP(0x11, 0x02, 0x11), INDEX(0, AT, 0, 2, AT + 2, 3));
    expect_map(false, VERIFY_MAP, MAP(0x11, 0x01), INDEX(0, AT, 0, 1, AT + 1, 2));
    expect_map(false, VERIFY_MAP, MAP(0x11, 0x01, 0x01, 0x22), INDEX(0, AT, 0, 3, AT + 3, 4));
    expect_map(false, VERIFY_MAP, MAP(0x11, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff), INDEX(0, AT, 0, 1, AT + 1, 7));
    expect_map(false, VERIFY_MAP, MAP(0x11, 0x2f, 0x80), INDEX(0, AT, 0, 3, AT + 3, 3));
    /* the guest's wraps */
    expect_map(false, VERIFY_MAP, MAP(0x11, 0x00, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x00), INDEX(0, AT, 0, 0, AT + 1, 8));
    expect_map(false, VERIFY_MAP, MAP(0x11, 0x2f, 0xff, 0xff, 0xff, 0xff, 0x0f), INDEX(0, AT, 0, 3, AT, 7));
    /* the index: none, incomplete, wrong addresses, not at instructions, in a run, more than there are */
    expect_map(false, VERIFY_MAP, MAP(0x11), INDEX(0));
    expect_map(false, VERIFY_MAP, MAP(0x11, 0x22), INDEX(0, AT, 0));
    expect_map(false, VERIFY_MAP, MAP(0x11, 0x22), INDEX(0, AT, 0, 3, AT + 4, 2));
    expect_map(false, VERIFY_MAP, MAP(0x11, 0x22), INDEX(0, AT, 0, 1, AT + 3, 1, 3, AT + 3, 2));
    expect_map(false, VERIFY_MAP, MAP(0x11, 0x22), INDEX(0, AT, 0, 2, AT + 1, 1, 3, AT + 3, 2));
    expect_map(false, VERIFY_MAP, MAP(0x11, 0x22), INDEX(0, AT, 1, 3, AT + 3, 2));
    expect_map(false, VERIFY_MAP, MAP(0x11, 0x22), INDEX(0, AT, 0, 3, AT + 3, 2, 3, AT + 3, 2));
    expect_map(false, VERIFY_MAP, MAP(0x11, 0x01, 0x22), INDEX(0, AT, 0, 1, AT + 1, 1, 3, AT + 3, 3));
    expect_map(false, VERIFY_MAP, MAP(0x11, 0x2f, 2), INDEX(0, AT, 0, 3, AT + 3, 2, 3, AT + 3, 3));
}

/* --- the code map --- */

static void
test_code_map(void **state)
{
    /* clang-format off */
    static const struct {
        direct_code_map_entry entry;
        bool good;
    } entries[] = {
        {0, false}, {MAKER_TEXT + AT, true}, {MAKER_TEXT + AT + 1, true}, {MAKER_TEXT + AT + 2, false}, {MAKER_TEXT, false},
        {MAKER_TEXT + AT + 6, false}, {1, false}, {MAKER_TEXT + 0x1000, false}, {MAKER_RUN_TIME, false}, {UINT32_MAX, false},
    };
    /* clang-format on */
    struct verify_places places;
    struct err e = {0};
    struct maker m;

    maker_text(&m, "31 c0 01 c0 9c 41 5a c3");
    assert_int_equal(verify_unit(maker_unit(&m), &places, &e), 0);
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        assert_int_equal(verify_leads_to_place(&places, entries[i].entry), entries[i].good);
    verify_places_fini(&places);
    maker_fini(&m);
}

/* --- what is allowed --- */

/* The guard behind the memory is larger than any access, and what has FS operands at most 8 bytes. */
static void
check_size(const uint8_t bytes[20])
{
    struct x86_insn insn;
    struct x86_scan scan;

    if (!x86_scan(bytes, 20, &scan) || !scan.canonical || !scan.memory || scan.system_register ||
        !verify_is_allowed(scan.op))
        return;
    if (x86_decode(bytes, 20, 0, &insn) <= 0)
        fail_msg("%02x %02x %02x %02x %02x %02x", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]);
    for (unsigned i = 0; i < insn.operand_count; i++)
        if (insn.operand[i].kind == X86_OPD_MEM)
            assert_true(insn.operand[i].size <= (scan.vex ? 32 : scan.general ? 8 : 16));
}

static void
test_sizes(void **state)
{
    static const uint8_t prefixes[] = {0, 0x66, 0xf2, 0xf3};

    for (unsigned map = 0; map < 4; map++)
        for (unsigned code = 0; code < 256u * 256 * 4 * 2; code++) {
            uint8_t bytes[20] = {0}, opcode = (uint8_t)code, modrm = (uint8_t)(code >> 8),
                    prefix = prefixes[code >> 16 & 3];
            unsigned at = 0;

            if (prefix)
                bytes[at++] = prefix;
            if (code >> 18)
                bytes[at++] = 0x48;
            if (map)
                bytes[at++] = 0x0f;
            if (map > 1)
                bytes[at++] = map == 2 ? 0x38 : 0x3a;
            bytes[at++] = opcode;
            bytes[at++] = modrm;
            check_size(bytes);
        }
    /* With VEX: every map, prefix, L and W; VEX.vvvv names nothing, or vector 3. */
    x86_set_level(X86_LEVEL_V3);
    for (unsigned map = 1; map < 4; map++)
        for (unsigned code = 0; code < 256u * 256 * 4 * 2 * 2 * 2; code++) {
            uint8_t vvvv = code >> 20 & 1 ? 0x60 : 0x78;
            uint8_t bytes[20] = {0xc4,
                                 (uint8_t)(0xe0 | map),
                                 (uint8_t)((code >> 16 & 7) | (code >> 19 & 1) << 7 | vvvv),
                                 (uint8_t)code,
                                 (uint8_t)(code >> 8),
                                 0x08 /* SIB: index 1 */};

            check_size(bytes);
        }
    x86_set_level(X86_LEVEL_V2);
}

/* --- executables --- */

static size_t
put_part(struct buf *out, const struct buf *part)
{
    size_t at;

    buf_align(out, 16);
    at = out->size;
    buf_put(out, part->data, part->size);
    return at;
}

enum { EXECUTABLE_AT = MAKER_TEXT - 0x1000 };

/* One segment that holds everything, and the sections and symbols that are looked for. */
static void
make_executable(struct buf *out, const char *text, unsigned flags, size_t more_tls)
{
    static const char section_names[] =
        "\0ingot_direct_text\0ingot_direct_units\0ingot_direct_tables\0.symtab\0.strtab";
    static const char symbol_names[] = "\0direct_syscall\0direct_unwind\0direct_jump\0direct_evaluate\0x86_cpu_tls";
    enum { TEXT_NAME = 1, UNITS_NAME = 19, TABLES_NAME = 38, SYMTAB_NAME = 58, STRTAB_NAME = 66 };
    Elf64_Ehdr eh = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                     .e_phoff = sizeof eh,
                     .e_phnum = 2,
                     .e_shnum = 6,
                     .e_shstrndx = 5};
    Elf64_Phdr ph = {.p_type = PT_LOAD, .p_flags = flags, .p_vaddr = EXECUTABLE_AT};
    Elf64_Sym symbols[2 + DIRECT_ENTRY_COUNT] = {{0},
                                                 {.st_name = 1},
                                                 {.st_name = 16},
                                                 {.st_name = 30},
                                                 {.st_name = 42},
                                                 {.st_name = 58, .st_shndx = 1, .st_value = 64}};
    Elf64_Phdr tls = {.p_type = PT_TLS, .p_memsz = 64 + sizeof(struct x86_cpu) + more_tls, .p_align = 64};
    struct direct_unit unit = {.text = MAKER_TEXT};
    struct buf names = {0}, strings = {0}, symbol_table = {0}, units = {0};
    Elf64_Shdr sections[6] = {0};
    struct maker m;
    size_t at;

    make(&m, text);
    maker_unit(&m);
    for (unsigned i = 0; i < DIRECT_ENTRY_COUNT; i++) {
        symbols[1 + i].st_shndx = 1;
        symbols[1 + i].st_value = m.unit.entries[i];
    }
    buf_put_zero(out, MAKER_TEXT - EXECUTABLE_AT);
    buf_put(out, m.text.data, m.text.size);
    unit.text_size = (uint32_t)m.text.size;
    sections[1] = (Elf64_Shdr){.sh_name = TEXT_NAME,
                               .sh_type = SHT_PROGBITS,
                               .sh_addr = MAKER_TEXT,
                               .sh_offset = MAKER_TEXT - EXECUTABLE_AT,
                               .sh_size = m.text.size};
    unit.map = EXECUTABLE_AT + put_part(out, &m.map);
    unit.map_size = (uint32_t)m.map.size;
    unit.index = EXECUTABLE_AT + put_part(out, &m.index);
    unit.index_count = (uint32_t)(m.index.size / sizeof(struct direct_place));
    buf_put(&units, &unit, sizeof unit);
    at = put_part(out, &units);
    sections[2] = (Elf64_Shdr){.sh_name = UNITS_NAME,
                               .sh_type = SHT_PROGBITS,
                               .sh_addr = EXECUTABLE_AT + at,
                               .sh_offset = at,
                               .sh_size = sizeof unit};
    buf_put(&symbol_table, symbols, sizeof symbols);
    sections[3] = (Elf64_Shdr){.sh_name = SYMTAB_NAME,
                               .sh_type = SHT_SYMTAB,
                               .sh_link = 4,
                               .sh_offset = put_part(out, &symbol_table),
                               .sh_size = sizeof symbols};
    buf_put(&strings, symbol_names, sizeof symbol_names);
    sections[4] = (Elf64_Shdr){.sh_name = STRTAB_NAME,
                               .sh_type = SHT_STRTAB,
                               .sh_offset = put_part(out, &strings),
                               .sh_size = sizeof symbol_names};
    buf_put(&names, section_names, sizeof section_names);
    sections[5] =
        (Elf64_Shdr){.sh_type = SHT_STRTAB, .sh_offset = put_part(out, &names), .sh_size = sizeof section_names};
    ph.p_filesz = ph.p_memsz = out->size;
    buf_align(out, 16);
    eh.e_shoff = out->size;
    buf_put(out, sections, sizeof sections);
    memcpy(out->data, &eh, sizeof eh);
    memcpy(out->data + sizeof eh, &ph, sizeof ph);
    memcpy(out->data + sizeof eh + sizeof ph, &tls, sizeof tls);
    buf_fini(&names);
    buf_fini(&strings);
    buf_fini(&symbol_table);
    buf_fini(&units);
    maker_fini(&m);
}

static void
keep(void *context, const uint8_t *program, const char *text)
{
    assert_null(program); /* there is no ledger */
    snprintf(context, 640, "%s", text);
}

static void
test_executable(void **state)
{
    char text[640] = "";
    struct buf elf = {0};
    unsigned units;

    make_executable(&elf, "c3", PF_R | PF_X, 0);
    if (verify_executable(elf.data, elf.size, keep, text, &units) != 0)
        fail_msg("%s", text);
    assert_int_equal(units, 1);
    /* Cut off anywhere, it is refused or the same. */
    for (size_t size = 0; size < elf.size; size++)
        if (verify_executable(elf.data, size, keep, text, &units) == 0)
            fail_msg("accepted with %zu of %zu bytes", size, elf.size);
    buf_fini(&elf);
    make_executable(&elf, "0f 05 c3", PF_R | PF_X, 0);
    assert_int_equal(verify_executable(elf.data, elf.size, keep, text, &units), 1);
    assert_string_equal(
        text,
        "unit at 0x30000000: host address 0x30000015: 0f 05 (syscall): the instruction is not on the list of those that are "
        "allowed (rule ALLOWED)");
    buf_fini(&elf);
    /* What may be written, or is not executable, is not what was read. */
    make_executable(&elf, "c3", PF_R | PF_W | PF_X, 0);
    assert_true(verify_executable(elf.data, elf.size, keep, text, &units) != 0);
    buf_fini(&elf);
    make_executable(&elf, "c3", PF_R, 0);
    assert_true(verify_executable(elf.data, elf.size, keep, text, &units) != 0);
    buf_fini(&elf);
    make_executable(&elf, "c3", PF_R | PF_X, 64);
    assert_int_equal(verify_executable(elf.data, elf.size, keep, text, &units), 1);
    assert_non_null(strstr(text, "x86_cpu_tls"));
    buf_fini(&elf);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted), cmocka_unit_test(test_refused), cmocka_unit_test(test_entries),
        cmocka_unit_test(test_flips),    cmocka_unit_test(test_labels),  cmocka_unit_test(test_map),
        cmocka_unit_test(test_code_map), cmocka_unit_test(test_sizes),   cmocka_unit_test(test_executable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
