/* Temporary files and folders: what they are called, and their removal when the process that made them was killed.
 *
 * Every name has the form NAME.tmp-ROLE-PID, with more behind it or not. ROLE (small letters) tells apart what one
 * process makes beside the same file. Names nest: what is written atomically to such a name is called
 * NAME.tmp-ROLE-PID.tmp-ROLE-PID, and the first pair counts. Because there is one form, nothing of a killed process
 * escapes the removal. */
#ifndef BASE_TEMPORARY_H
#define BASE_TEMPORARY_H

/* A name beside path, of this process; the caller frees. */
char *temporary_name(const char *path, const char *role);
/* A new file of such a name, for reading and writing: the descriptor, or -1 with errno. The name can be guessed, and the folder may be
 * one that others write to, so that what lies there is removed and no link is followed. */
int temporary_create(const char *name, unsigned mode);
/* A file, or a folder with all in it; what cannot be removed stays. */
void temporary_remove(const char *path);
/* Removes from folder what processes that are gone have left, files and whole folders. name: only what was made beside
 * this one (a file name without folders); NULL: all of it. A folder that cannot be read is passed over: this is
 * cleaning, not checking. */
void temporary_sweep(const char *folder, const char *name);

#endif
