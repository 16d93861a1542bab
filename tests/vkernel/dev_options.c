/* The vkernel for development takes options from the environment, which artifacts do not
 * (vkernel/boot/run_options.c). */
#include "vkernel/boot/options.h"

const bool options_from_environment = true;
