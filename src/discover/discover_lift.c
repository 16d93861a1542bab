/* From a discovered function to IR. Its blocks are lifted one by one. Calls of PLT stubs and jumps to them become the
 * indirect calls and jumps that the stubs make, which saves a call of the stub each time. */
#include <string.h>

#include "discover/discover_internal.h"

bool
disc_plt_slot(const struct elf_image *image, uint64_t address, uint64_t *slot)
{
    for (int n = 0; n < 2; n++) {
        uint64_t left;
        const uint8_t *p = elf_image_at(image, address, &left);
        struct x86_insn insn;

        if (!p || !elf_image_is_exec(image, address) || x86_decode(p, left, address, &insn) <= 0)
            return false;
        if (insn.op == X86_OP_ENDBR64) {
            address += insn.length;
            continue;
        }
        if (insn.op != X86_OP_JMP || insn.operand[0].kind != X86_OPD_MEM || insn.operand[0].base != X86_BASE_RIP)
            return false;
        *slot = (uint64_t)insn.operand[0].disp;
        return true;
    }
    return false;
}

const char *
disc_called_import(const struct elf_image *image, const struct x86_insn *insn)
{
    const struct x86_operand *o = &insn->operand[0];
    uint64_t slot;

    if (insn->operand_count == 0)
        return NULL;
    if (o->kind == X86_OPD_REL && disc_plt_slot(image, (uint64_t)o->imm, &slot))
        return elf_image_import(image, slot);
    if (o->kind == X86_OPD_MEM && o->base == X86_BASE_RIP)
        return elf_image_import(image, (uint64_t)o->disp);
    return NULL;
}

static ir_value
append(struct ir_func *f, struct ir_block *b, struct ir_op op)
{
    vec_push(&f->ops, op);
    b->op_count++;
    return (ir_value)(f->ops.count - 1);
}

/* Makes an indirect one of the call or jump to a PLT stub that ends the last block. Operations can be added to this
 * block only because it was built last, so that its operations are the end of the list. */
static void
inline_plt_call(struct ir_func *f, const struct elf_image *image)
{
    struct ir_block *b = &f->blocks.items[f->blocks.count - 1];
    struct ir_op op = {.a = IR_NO_VALUE, .b = IR_NO_VALUE, .c = IR_NO_VALUE};
    uint64_t slot;

    if ((b->end.kind != IR_T_CALL && b->end.kind != IR_T_JUMP) || !disc_plt_slot(image, b->end.target, &slot))
        return;
    if (b->end.kind == IR_T_JUMP && b->end.target == b->address + b->size)
        return; /* The block falls through into the stub, which is a block of this function, too. */
    op.op = IR_ADDR;
    op.imm = slot;
    op.a = append(f, b, op);
    op.op = IR_WRAP;
    op.imm = 0;
    op.a = append(f, b, op);
    op.op = IR_LOAD64;
    b->end.value = append(f, b, op);
    b->end.kind = b->end.kind == IR_T_CALL ? IR_T_CALL_INDIRECT : IR_T_JUMP_INDIRECT;
}

void
disc_lift(const struct disc *d, const struct disc_func *func, const struct elf_image *image, struct ir_func *f,
          struct ir_build *b)
{
    ir_func_clear(f, func->address);
    for (uint32_t i = 0; i < func->block_count; i++) {
        const struct disc_block *block = &d->blocks.items[func->first_block + i];
        uint64_t left;
        struct lift_request r = {
            .bytes = elf_image_at(image, block->start, &left),
            .size = block->end - block->start,
            .address = block->start,
            .precise = d->precise_faults,
            .jump_table = block->table >= 0 ? &d->tables.items[block->table] : NULL,
        };

        lift_block(b, &r);
        f->blocks.items[f->blocks.count - 1].entry = block->entry;
        f->blocks.items[f->blocks.count - 1].label = block->label;
        inline_plt_call(f, image);
    }
}
