/* What --stats tells of a run at its end. */
#ifndef VKERNEL_BOOT_STATISTICS_H
#define VKERNEL_BOOT_STATISTICS_H

void statistics_write(void); /* as run_options says, or nothing */

#endif
