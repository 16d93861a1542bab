/* Asynchronous I/O (io_setup(2)), for the rooms above. */
#ifndef VKERNEL_FS_AIO_H
#define VKERNEL_FS_AIO_H

#include <stdint.h>

struct mm;

/* What io_setup was asked for, of all contexts that there are: fs.aio-nr. At most LIMIT_AIO_REQUESTS. */
extern uint64_t aio_nr;
/* mm_hooks.aio_ends: nobody has the address space any more, so its contexts end. Does not sleep. */
void aio_end_all(struct mm *mm);

#endif
