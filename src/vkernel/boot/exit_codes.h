/* Exit codes of an artifact that are not its program's, as docker's. */
#ifndef VKERNEL_BOOT_EXIT_CODES_H
#define VKERNEL_BOOT_EXIT_CODES_H

enum { EXIT_OWN = 125, EXIT_CANNOT_EXECUTE = 126, EXIT_NOT_FOUND = 127, EXIT_SIGNAL = 128 };

#endif
