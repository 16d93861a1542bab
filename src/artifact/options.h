/* What the memory file begins with in which `ingot run` hands options to an artifact (docs/formats.md): written by
 * cli/hand_over.c, read by platform/options.c. */
#ifndef ARTIFACT_OPTIONS_H
#define ARTIFACT_OPTIONS_H

#define OPTIONS_MAGIC "ingot options 1\n"

#endif
