/* Reading a built image from outside. */
#include "cli/artifact_reader.h"

#include <string.h>
#include <unistd.h>

int
artifact_view_frame(struct artifact_view *v, struct err *e)
{
    const struct artifact_header *header;
    const char *wrong = artifact_check_frame(v->file.data, v->file.size, &v->footer, &header);

    if (wrong)
        return err_set(e, "%s", wrong);
    v->header = *header;
    v->payload = v->file.data + v->footer.payload_offset;
    return 0;
}

int
artifact_open_fd(struct artifact_view *v, int fd, const char *path, struct err *e)
{
    *v = (struct artifact_view){0};
    if (file_map_fd(fd, path, &v->file, e) < 0)
        return -1;
    if (artifact_view_frame(v, e) < 0) {
        file_unmap(&v->file);
        return err_prefix(e, "%s", path);
    }
    return 0;
}

int
artifact_open(struct artifact_view *v, const char *path, struct err *e)
{
    int fd = file_open(path, e), result;

    *v = (struct artifact_view){0};
    if (fd < 0)
        return -1;
    result = artifact_open_fd(v, fd, path, e);
    close(fd);
    return result;
}

void
artifact_close(struct artifact_view *v)
{
    file_unmap(&v->file);
}

const char *
artifact_string(const struct artifact_view *v, uint32_t offset)
{
    const struct artifact_section *s = &v->header.sections[ARTIFACT_STRINGS];
    const char *p = (const char *)artifact_section(v, ARTIFACT_STRINGS);

    if (offset >= s->size || !memchr(p + offset, 0, s->size - offset))
        return "";
    return p + offset;
}
