/* Alone in its file, so that the linker takes the definition of the vkernel for development instead where there is one
 * (tests/vkernel/dev_options.c). */
#include "vkernel/boot/options.h"

const bool options_from_environment = false;
