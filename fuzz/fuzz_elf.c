/* Fuzzes reading an ELF file and finding its code: no input may crash or run for ever. */
#include <stdint.h>
#include <stdlib.h>

#include "elf/elf_image.h"
#include "lift/discover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct elf_image image;
    struct disc d;
    struct err e = {0};
    const char *reason;
    uint64_t profile[64];

    elf_classify(data, size, &reason);
    if (elf_image_open(&image, data, size, &e) < 0)
        return 0;
    /* As if the evaluator had been entered in every 64th byte. */
    for (size_t i = 0; i < sizeof profile / sizeof *profile; i++)
        profile[i] = image.low + 64 * i;
    if (discover(&d, &image, profile, size % 2 ? sizeof profile / sizeof *profile : 0, &e) == 0)
        disc_fini(&d);
    elf_image_close(&image);
    return 0;
}
