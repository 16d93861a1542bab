/* The fault map of code with precise faults: from the host address behind an access to memory to the guest's address
 * and where its general registers were before the access. aot makes it of LLVM's stack maps, the vkernel reads it when
 * such an access faults.
 *
 * Section "ingot_fault_map" of the executable: blocks, each at a multiple of 8 bytes; zero words lie between some.
 *
 *   block    u64 host address of a function; u32 size of the records in bytes; u32 how many; records
 *   record   uleb  host address behind the access (few instructions may lie between, without an access), from the
 *                  function's start, less that of the record before
 *            sleb  guest address of the instruction, image-relative, less that of the record before
 *            uleb  mask of the registers given, by x86 number (rax rcx rdx rbx rsp rbp rsi rdi r8..r15); the others are
 *                  in their globals
 *            uleb  those of them whose place is another than when they were given last in this block (at its start:
 *                  host register 0), and for each, from the lowest on, its place:
 *   place    u8    0 to 15: the host register of that x86 number
 *                  FAULT_PLACE_CONSTANT: sleb, the value
 *                  FAULT_PLACE_ADDRESS | host register: sleb, what to add to it
 *                  FAULT_PLACE_MEMORY | host register: sleb, what to add to get the host address of 8 bytes */
#ifndef ARTIFACT_FAULT_MAP_H
#define ARTIFACT_FAULT_MAP_H

enum {
    FAULT_PLACE_CONSTANT = 0x10,
    FAULT_PLACE_ADDRESS = 0x20,
    FAULT_PLACE_MEMORY = 0x40,
    FAULT_BLOCK_HEADER = 16, /* bytes before the records */
};

#define FAULT_MAP_SECTION "ingot_fault_map"

#endif
