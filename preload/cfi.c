/* SPDX-License-Identifier: Apache-2.0 */
/* Call frame information, as far as compilers use it for ordinary functions on x86-64 (System V
 * psABI, "DWARF register numbers"; DWARF 5 section 6.4; LSB "Exception Frames"): where the CFA is,
 * where rbp was saved, that the return address lies at CFA - 8. What it does not understand ends
 * the stack there. It reads only the module's own tables. */
#include "preload/recorder.h"

#include <string.h>

#define REGISTER_RBP    6
#define REGISTER_RSP    7
#define REGISTER_RETURN 16
#define REMEMBERED_MAX  8

#define OP_DEREF    0x06
#define OP_BREG_RBP 0x76

struct cursor {
    const unsigned char *at, *end;
};

struct cie {
    uint64_t code_factor;
    int64_t data_factor;
    uint64_t return_register;
    uint8_t pointer_encoding;
    bool has_augmentation, is_signal;
    struct cursor program;
};

/* The row of the table that is being built. */
struct row {
    enum { CFA_NONE, CFA_REGISTER, CFA_RBP_DEREF } cfa;
    uint64_t cfa_register;
    int64_t cfa_offset;
    enum saved_kind saved;
    int64_t saved_offset;
    bool no_return; /* the return address is undefined: the outermost frame */
    bool unknown;   /* something that we do not understand */
};

static uint64_t read_fixed(struct cursor *cursor, unsigned bytes)
{
    uint64_t value = 0;
    if ((size_t)(cursor->end - cursor->at) < bytes) {
        cursor->at = cursor->end;
        return 0;
    }
    memcpy(&value, cursor->at, bytes);
    cursor->at += bytes;
    return value;
}

static uint64_t read_uleb(struct cursor *cursor)
{
    uint64_t value = 0;
    for (unsigned shift = 0; cursor->at < cursor->end; shift += 7) {
        unsigned char byte = *cursor->at++;
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            break;
    }
    return value;
}

static int64_t read_sleb(struct cursor *cursor)
{
    uint64_t value = 0;
    unsigned shift = 0;
    unsigned char byte = 0;
    while (cursor->at < cursor->end) {
        byte = *cursor->at++;
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
        if (!(byte & 0x80))
            break;
    }
    if (shift < 64 && (byte & 0x40))
        value |= ~UINT64_C(0) << shift;
    return (int64_t)value;
}

/* A pointer in one of the encodings that linkers and compilers use; `value_only` ignores the base
 * (for lengths). */
static uint64_t read_encoded(struct cursor *cursor, uint8_t encoding, bool value_only)
{
    uint64_t place = (uintptr_t)cursor->at;
    uint64_t value;
    switch (encoding & 0x0f) {
    case 0x00: /* absptr */
    case 0x04: /* udata8 */
    case 0x0c: /* sdata8 */
        value = read_fixed(cursor, 8);
        break;
    case 0x02: /* udata2 */
        value = read_fixed(cursor, 2);
        break;
    case 0x03: /* udata4 */
        value = read_fixed(cursor, 4);
        break;
    case 0x0a: /* sdata2 */
        value = (uint64_t)(int64_t)(int16_t)read_fixed(cursor, 2);
        break;
    case 0x0b: /* sdata4 */
        value = (uint64_t)(int64_t)(int32_t)read_fixed(cursor, 4);
        break;
    default:
        cursor->at = cursor->end;
        return 0;
    }
    return !value_only && (encoding & 0x70) == 0x10 ? value + place : value;
}

/* The augmentation's letters say what stands in its data. */
static bool read_augmentation(struct cursor *cursor, const char *letters, struct cie *cie)
{
    if (letters[0] == '\0')
        return true;
    if (letters[0] != 'z')
        return false;
    cie->has_augmentation = true;
    uint64_t bytes = read_uleb(cursor);
    if (bytes > (size_t)(cursor->end - cursor->at))
        return false;
    struct cursor data = {cursor->at, cursor->at + bytes};
    cursor->at += bytes;
    for (const char *letter = letters + 1; *letter; letter++) {
        if (*letter == 'R') {
            cie->pointer_encoding = (uint8_t)read_fixed(&data, 1);
        } else if (*letter == 'P') {
            uint8_t encoding = (uint8_t)read_fixed(&data, 1);
            read_encoded(&data, encoding, true);
        } else if (*letter == 'L') {
            read_fixed(&data, 1);
        } else if (*letter == 'S') {
            cie->is_signal = true;
        }
    }
    return true;
}

/* The length of an entry of .eh_frame; its body follows. */
static bool read_entry(const unsigned char *at, struct cursor *ret)
{
    uint32_t length;
    memcpy(&length, at, sizeof(length));
    if (length == 0 || length == UINT32_MAX) /* the end, or 64-bit: nobody writes that */
        return false;
    *ret = (struct cursor){at + sizeof(length), at + sizeof(length) + length};
    return true;
}

static bool read_cie(const unsigned char *at, struct cie *cie)
{
    struct cursor cursor;
    if (!read_entry(at, &cursor) || read_fixed(&cursor, 4) != 0)
        return false;
    uint64_t version = read_fixed(&cursor, 1);
    const char *letters = (const char *)cursor.at;
    size_t length = strnlen(letters, (size_t)(cursor.end - cursor.at));
    cursor.at += length < (size_t)(cursor.end - cursor.at) ? length + 1 : length;
    *cie = (struct cie){0};
    cie->code_factor = read_uleb(&cursor);
    cie->data_factor = read_sleb(&cursor);
    cie->return_register = version == 1 ? read_fixed(&cursor, 1) : read_uleb(&cursor);
    if (!read_augmentation(&cursor, letters, cie))
        return false;
    cie->program = cursor;
    return cie->return_register == REGISTER_RETURN;
}

/* --- the program ---------------------------------------------------------------------------------
 */

struct machine {
    struct row row, initial, remembered[REMEMBERED_MAX];
    unsigned depth;
    uint64_t location;
    const struct cie *cie;
};

static void set_saved(struct machine *machine, uint64_t reg, enum saved_kind kind, int64_t offset)
{
    if (reg == REGISTER_RBP) {
        machine->row.saved = kind;
        machine->row.saved_offset = offset;
    } else if (reg == REGISTER_RETURN && (kind != SAVED_AT_CFA || offset != -8)) {
        machine->row.unknown = true;
    }
}

static void restore(struct machine *machine, uint64_t reg)
{
    if (reg != REGISTER_RBP)
        return;
    machine->row.saved = machine->initial.saved;
    machine->row.saved_offset = machine->initial.saved_offset;
}

static struct cursor read_block(struct cursor *cursor)
{
    uint64_t bytes = read_uleb(cursor);
    if (bytes > (size_t)(cursor->end - cursor->at))
        bytes = (size_t)(cursor->end - cursor->at);
    struct cursor block = {cursor->at, cursor->at + bytes};
    cursor->at += bytes;
    return block;
}

/* Functions that realign their stack: the CFA is kept at a place below rbp. */
static void cfa_expression(struct machine *machine, struct cursor block)
{
    machine->row.cfa = CFA_NONE;
    if (read_fixed(&block, 1) != OP_BREG_RBP)
        return;
    int64_t offset = read_sleb(&block);
    if (read_fixed(&block, 1) != OP_DEREF || block.at != block.end)
        return;
    machine->row.cfa = CFA_RBP_DEREF;
    machine->row.cfa_offset = offset;
}

static void saved_expression(struct machine *machine, uint64_t reg, struct cursor block)
{
    if (read_fixed(&block, 1) == OP_BREG_RBP) {
        int64_t offset = read_sleb(&block);
        if (block.at == block.end) {
            set_saved(machine, reg, SAVED_AT_RBP, offset);
            return;
        }
    }
    if (reg == REGISTER_RBP || reg == REGISTER_RETURN)
        machine->row.unknown = true;
}

static void define_cfa(struct machine *machine, uint64_t reg, int64_t offset)
{
    machine->row.cfa = CFA_REGISTER;
    machine->row.cfa_register = reg;
    machine->row.cfa_offset = offset;
}

static void remember(struct machine *machine)
{
    if (machine->depth < REMEMBERED_MAX)
        machine->remembered[machine->depth] = machine->row;
    machine->depth++;
}

static void recall(struct machine *machine)
{
    if (machine->depth == 0)
        return;
    machine->depth--;
    if (machine->depth < REMEMBERED_MAX)
        machine->row = machine->remembered[machine->depth];
    else
        machine->row.unknown = true;
}

/* The instructions that name one register first. */
static bool step_register(struct machine *machine, uint8_t code, struct cursor *cursor)
{
    int64_t factor = machine->cie->data_factor;
    uint64_t reg = read_uleb(cursor);
    switch (code) {
    case 0x05: /* offset_extended */
        set_saved(machine, reg, SAVED_AT_CFA, (int64_t)read_uleb(cursor) * factor);
        return true;
    case 0x06: /* restore_extended */
        restore(machine, reg);
        return true;
    case 0x07: /* undefined */
        if (reg == REGISTER_RETURN)
            machine->row.no_return = true;
        return true;
    case 0x08: /* same_value */
        set_saved(machine, reg, SAVED_NOT, 0);
        return true;
    case 0x09: /* register */
        read_uleb(cursor);
        if (reg == REGISTER_RBP || reg == REGISTER_RETURN)
            machine->row.unknown = true;
        return true;
    case 0x0c: /* def_cfa */
        define_cfa(machine, reg, (int64_t)read_uleb(cursor));
        return true;
    case 0x0d: /* def_cfa_register */
        define_cfa(machine, reg, machine->row.cfa_offset);
        return true;
    case 0x10: /* expression */
        saved_expression(machine, reg, read_block(cursor));
        return true;
    case 0x11: /* offset_extended_sf */
        set_saved(machine, reg, SAVED_AT_CFA, read_sleb(cursor) * factor);
        return true;
    case 0x12: /* def_cfa_sf */
        define_cfa(machine, reg, read_sleb(cursor) * factor);
        return true;
    case 0x16: /* val_expression */
        read_block(cursor);
        if (reg == REGISTER_RBP || reg == REGISTER_RETURN)
            machine->row.unknown = true;
        return true;
    default:
        return false;
    }
}

static bool step_extended(struct machine *machine, uint8_t code, struct cursor *cursor)
{
    uint64_t factor = machine->cie->code_factor;
    switch (code) {
    case 0x00: /* nop */
        return true;
    case 0x01: /* set_loc */
        machine->location = read_encoded(cursor, machine->cie->pointer_encoding, false);
        return true;
    case 0x02: /* advance_loc1, 2, 4 */
        machine->location += read_fixed(cursor, 1) * factor;
        return true;
    case 0x03:
        machine->location += read_fixed(cursor, 2) * factor;
        return true;
    case 0x04:
        machine->location += read_fixed(cursor, 4) * factor;
        return true;
    case 0x0a:
        remember(machine);
        return true;
    case 0x0b:
        recall(machine);
        return true;
    case 0x0e: /* def_cfa_offset */
        machine->row.cfa_offset = (int64_t)read_uleb(cursor);
        return true;
    case 0x0f: /* def_cfa_expression */
        cfa_expression(machine, read_block(cursor));
        return true;
    case 0x13: /* def_cfa_offset_sf */
        machine->row.cfa_offset = read_sleb(cursor) * machine->cie->data_factor;
        return true;
    case 0x2e: /* GNU_args_size */
        read_uleb(cursor);
        return true;
    default:
        return step_register(machine, code, cursor);
    }
}

/* Run until the location is beyond `pc`. False: an instruction that we do not know. */
static bool execute(struct machine *machine, struct cursor cursor, uint64_t pc)
{
    while (cursor.at < cursor.end) {
        uint8_t code = *cursor.at++;
        struct row before = machine->row;
        uint64_t location = machine->location;
        uint8_t low = code & 0x3f;
        switch (code >> 6) {
        case 1:
            machine->location += low * machine->cie->code_factor;
            break;
        case 2:
            set_saved(machine, low, SAVED_AT_CFA,
                      (int64_t)read_uleb(&cursor) * machine->cie->data_factor);
            break;
        case 3:
            restore(machine, low);
            break;
        default:
            if (!step_extended(machine, low, &cursor))
                return false;
        }
        if (machine->location != location && machine->location > pc) {
            machine->row = before;
            return true;
        }
    }
    return true;
}

static void to_rule(const struct row *row, const struct cie *cie, struct rule *rule)
{
    rule->kind = RULE_STOP;
    if (cie->is_signal)
        rule->kind = RULE_SIGNAL;
    else if (row->no_return || row->unknown)
        return;
    else if (row->cfa == CFA_RBP_DEREF)
        rule->kind = RULE_RBP_DEREF;
    else if (row->cfa == CFA_REGISTER && row->cfa_register == REGISTER_RSP)
        rule->kind = RULE_RSP;
    else if (row->cfa == CFA_REGISTER && row->cfa_register == REGISTER_RBP)
        rule->kind = RULE_RBP;
    rule->cfa_offset = (int32_t)row->cfa_offset;
    rule->saved = (uint8_t)row->saved;
    rule->rbp_offset = (int32_t)row->saved_offset;
}

/* The entry of the sorted table before or at `pc`, as an address of .eh_frame; NULL: none. */
static const unsigned char *search(const unsigned char *header, uintptr_t pc)
{
    /* Version 1, any frame pointer, a 4-byte count, pairs of 4-byte offsets from the header. */
    if (header[0] != 1 || header[2] != 0x03 || header[3] != 0x3b)
        return NULL;
    struct cursor cursor = {header + 4, header + 16};
    read_encoded(&cursor, header[1], true);
    uint32_t count = (uint32_t)read_fixed(&cursor, 4);
    const int32_t *table = (const void *)cursor.at;
    int64_t wanted = (int64_t)(pc - (uintptr_t)header);
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (table[2 * (size_t)middle] <= wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? NULL : header + table[2 * (size_t)(low - 1) + 1];
}

bool cfi_find(const void *eh_frame_hdr, uintptr_t pc, struct rule *rule)
{
    const unsigned char *at = search(eh_frame_hdr, pc);
    struct cursor cursor;
    struct cie cie;
    rule->kind = RULE_STOP;
    if (!at || !read_entry(at, &cursor))
        return false;
    const unsigned char *back = cursor.at;
    uint64_t distance = read_fixed(&cursor, 4);
    if (distance == 0 || !read_cie(back - distance, &cie))
        return false;
    uint64_t start = read_encoded(&cursor, cie.pointer_encoding, false);
    uint64_t bytes = read_encoded(&cursor, cie.pointer_encoding, true);
    if (pc - start >= bytes)
        return false;
    if (cie.has_augmentation)
        read_block(&cursor);
    struct machine machine = {.cie = &cie, .location = start};
    if (!execute(&machine, cie.program, UINT64_MAX))
        return true;
    machine.initial = machine.row;
    machine.depth = 0;
    if (execute(&machine, cursor, pc))
        to_rule(&machine.row, &cie, rule);
    return true;
}
