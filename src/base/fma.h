/* Which fused multiplication and addition the immediate of VFMAPS and the like says (ops.def): kind | order << 4.
 * Shared by who makes them and who executes them. */
#ifndef BASE_FMA_H
#define BASE_FMA_H

/* a * b + c, a * b - c, -(a * b) + c, -(a * b) - c; the last two by turns, beginning with subtraction
 * and addition. 132: first * third and second; 213: second * first and third; 231: second * third and first. */
enum fma_kind { FMA_ADD, FMA_SUB, FMA_NEGATED_ADD, FMA_NEGATED_SUB, FMA_ADDSUB, FMA_SUBADD };
enum fma_order { FMA_132, FMA_213, FMA_231 };

#endif
