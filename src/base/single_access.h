/* Memory that others use at the same time. */
#ifndef BASE_SINGLE_ACCESS_H
#define BASE_SINGLE_ACCESS_H

/* What lies at the address `at`, aligned or not, as an object of the type, of 1, 2, 4 or 8 bytes or a vector of 16. The compiler makes each
 * use one instruction: it does not read or write a second time, or in parts, or leave it out, as it may where it says memcpy.
 * What the processor promises of one access then holds: that of aligned ones nobody sees a part. */
#define SINGLE_ACCESS(type, at) (((volatile struct { type v; } __attribute__((packed, may_alias)) *)(void *)(at))->v)

#endif
