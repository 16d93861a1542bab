/* F_NOTIFY (fcntl(2)): the owner of an open folder is told by a signal of what happens in it. A note is of an open file
 * and of the descriptor table through which it was asked for, whose closing of the file ends it. */
#include <sys/inotify.h>

#include "platform/heap.h"
#include "vkernel/vfs/vfs.h"

/* One event may tell the owners of all of them, each of which may be a group of all processes. */
enum { NOTES_OF_INODE = 64 };

struct note {
    struct note *next; /* of its inode */
    struct file *file; /* not a reference: its closing ends the note */
    const struct fdtable *owner;
    int fd;
    uint32_t events; /* DN_* */
};

OBJECT_POOL(note);

unsigned note_total;

static void
note_remove(struct note **at)
{
    struct note *n = *at;

    *at = n->next;
    n->file->notes--;
    note_total--;
    OBJECT_FREE(note, n);
}

void
notes_closed(struct file *f, const struct fdtable *owner)
{
    for (struct note **at = &f->inode->notes; *at && f->notes;)
        if ((*at)->file == f && (*at)->owner == owner)
            note_remove(at);
        else
            at = &(*at)->next;
}

static uint32_t
events_of(uint32_t mask)
{
    static const struct {
        uint32_t inotify, note;
    } map[] = {
        {IN_ACCESS, DN_ACCESS},
        {IN_MODIFY, DN_MODIFY},
        {IN_CREATE | IN_MOVED_TO, DN_CREATE},
        {IN_DELETE | IN_MOVED_FROM, DN_DELETE},
        {NOTES_RENAMED, DN_RENAME},
        {IN_ATTRIB, DN_ATTRIB},
    };
    uint32_t events = 0;

    for (size_t k = 0; k < sizeof map / sizeof map[0]; k++)
        if (mask & map[k].inotify)
            events |= map[k].note;
    return events;
}

void
notes_tell(struct inode *dir, uint32_t mask)
{
    uint32_t events = events_of(mask);

    for (struct note **at = &dir->notes; *at;) {
        struct note *n = *at;

        if (!(n->events & events)) {
            at = &n->next;
            continue;
        }
        vfs_hooks.owner_told(n->file, n->fd);
        if (n->events & DN_MULTISHOT)
            at = &n->next;
        else
            note_remove(at);
    }
}

static int
note_new(struct file *f, int fd, uint32_t events)
{
    unsigned count = 0;
    struct note *n;

    for (n = f->inode->notes; n; n = n->next)
        count++;
    n = count < NOTES_OF_INODE ? OBJECT_NEW(note) : NULL;
    if (!n || vfs_hooks.owner_needed(f) < 0) {
        OBJECT_FREE(note, n);
        return -ENOMEM;
    }
    *n = (struct note){.next = f->inode->notes, .file = f, .owner = current_files(), .fd = fd, .events = events};
    f->inode->notes = n;
    f->notes++;
    note_total++;
    return 0;
}

int
note_set(struct file *f, int fd, uint32_t events)
{
    if (!(events & ~(uint32_t)DN_MULTISHOT)) {
        if (f->notes)
            notes_closed(f, current_files());
        return 0;
    }
    if (!f->inode || !S_ISDIR(f->inode->mode))
        return -ENOTDIR;
    for (struct note *n = f->inode->notes; n; n = n->next)
        if (n->file == f && n->owner == current_files()) {
            n->fd = fd;
            n->events |= events;
            return 0;
        }
    return note_new(f, fd, events);
}
