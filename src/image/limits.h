/* Bounds of what an image may ask of the builder: a few kilobytes of archive can say terabytes of holes, or of the same
 * byte. */
#ifndef IMAGE_LIMITS_H
#define IMAGE_LIMITS_H

/* Of all file contents together, and of the members of an archive together; holes count. */
#define IMAGE_MAX_BYTES (256ull << 30)
/* Of one file. */
#define IMAGE_MAX_FILE (16ull << 30)
/* Objects that were ever made, those that later layers replaced included. */
#define IMAGE_MAX_INODES (16u << 20)

#endif
