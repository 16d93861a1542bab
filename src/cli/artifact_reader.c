/* Reading a built image from outside. */
#include "cli/artifact_reader.h"

#include <string.h>

#include "base/sha256.h"

const char *const artifact_section_names[ARTIFACT_SECTION_COUNT] = {
    [ARTIFACT_CONFIG] = "config", [ARTIFACT_INODES] = "inodes", [ARTIFACT_DIRENTS] = "directory entries",
    [ARTIFACT_STRINGS] = "strings", [ARTIFACT_LEDGER] = "ledger", [ARTIFACT_CODE_MAP] = "code map",
    [ARTIFACT_DATA] = "data",
};

static int
check_frame(struct artifact_view *v, struct err *e)
{
    uint64_t size = v->file.size, at;
    struct sha256 h;

    if (size < sizeof v->footer)
        return err_set(e, "too short to be a built image");
    memcpy(&v->footer, v->file.data + size - sizeof v->footer, sizeof v->footer);
    if (v->footer.magic != ARTIFACT_MAGIC)
        return err_set(e, "not a built image, or its footer is damaged");
    at = v->footer.payload_offset;
    if (v->footer.file_size != size || at > size || size - at < sizeof v->header + sizeof v->footer)
        return err_set(e, "footer damaged: the file has %lu bytes, the footer says %lu", size, v->footer.file_size);
    v->payload = v->file.data + at;
    memcpy(&v->header, v->payload, sizeof v->header);
    sha256_of(v->payload, sizeof v->header, &h);
    if (memcmp(h.bytes, v->footer.header_sha256, sizeof h.bytes) != 0)
        return err_set(e, "header damaged: its hash does not match the footer's");
    if (v->header.magic != ARTIFACT_MAGIC || v->header.version != ARTIFACT_VERSION ||
        v->header.section_count != ARTIFACT_SECTION_COUNT)
        return err_set(e, "built by another version of ingot");
    if (v->header.payload_size != size - at - sizeof v->footer || v->header.elf_size > at)
        return err_set(e, "header damaged: sizes do not add up");
    for (int i = 0; i < ARTIFACT_SECTION_COUNT; i++) {
        const struct artifact_section *s = &v->header.sections[i];

        if (s->offset > v->header.payload_size || s->size > v->header.payload_size - s->offset)
            return err_set(e, "%s section lies outside the file", artifact_section_names[i]);
    }
    return 0;
}

int
artifact_open(struct artifact_view *v, const char *path, struct err *e)
{
    *v = (struct artifact_view){0};
    if (file_map(path, &v->file, e) < 0)
        return -1;
    if (check_frame(v, e) < 0) {
        file_unmap(&v->file);
        return err_prefix(e, "%s", path);
    }
    return 0;
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
