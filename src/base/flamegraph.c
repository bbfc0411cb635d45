/* SPDX-License-Identifier: Apache-2.0 */
#include "base/flamegraph.h"

#include "base/cleanup.h"
#include "base/size.h"
#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH        1200.0
#define MARGIN       10.0
#define ROW_HEIGHT   17.0
#define TITLE_HEIGHT 36.0
#define CHARACTER    6.6 /* of 11 pixels monospace */
#define NARROWEST    0.3
#define NAME_BYTES   256
#define LEVELS_MAX   512
#define TITLE_MAX    200

struct node {
    char *name;
    double bytes;
    struct node *child, *next;
};

static void node_free(struct node *node)
{
    while (node) {
        struct node *next = node->next;
        node_free(node->child);
        free(node->name);
        free(node);
        node = next;
    }
}

static void node_cleanup(struct node **node)
{
    node_free(*node);
}

static struct node *node_below(struct node *parent, const char *name, size_t length)
{
    for (struct node *node = parent->child; node; node = node->next) {
        if (strncmp(node->name, name, length) == 0 && node->name[length] == '\0')
            return node;
    }
    struct node *node = calloc(1, sizeof(*node));
    char *copy = strndup(name, length);
    if (!node || !copy) {
        free(node);
        free(copy);
        return NULL;
    }
    node->name = copy;
    node->next = parent->child;
    parent->child = node;
    return node;
}

/* False: no memory. */
static bool add_stack(struct node *root, const char *names, const char *end, double bytes)
{
    struct node *node = root;
    root->bytes += bytes;
    for (unsigned level = 0; level < LEVELS_MAX && names < end; level++) {
        const char *separator = memchr(names, ';', (size_t)(end - names));
        const char *name_end = separator ? separator : end;
        node = node_below(node, names, (size_t)(name_end - names));
        if (!node)
            return false;
        node->bytes += bytes;
        names = name_end + 1;
    }
    return true;
}

static struct node *make_tree(const char *folded)
{
    CLEANUP(node_cleanup) struct node *root = calloc(1, sizeof(*root));
    if (!root || !(root->name = strdup("all")))
        return NULL;
    for (const char *line = folded; *line;) {
        const char *end = strchrnul(line, '\n');
        const char *blank = memrchr(line, ' ', (size_t)(end - line));
        double bytes = blank ? strtod(blank, NULL) : 0;
        if (isfinite(bytes) && bytes > 0 && !add_stack(root, line, blank, bytes))
            return NULL;
        line = *end ? end + 1 : end;
    }
    return steal_ptr(&root);
}

static unsigned depth_of(const struct node *node)
{
    unsigned deepest = 0;
    for (const struct node *child = node->child; child; child = child->next) {
        unsigned depth = 1 + depth_of(child);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest;
}

/* At most so many characters. */
static void put_escaped(struct buffer *out, const char *text, size_t room)
{
    for (; room > 0 && *text; room--) {
        uint32_t point = 0;
        size_t length = utf8_decode(text, &point);
        bool harmful =
            point < 0x20 || (point >= 0x7f && point < 0xa0) || (point & 0xfffe) == 0xfffe;
        if (length == 0 || harmful)
            buffer_puts(out, "?");
        else if (point < 0x80 && strchr("<>&\"'", (int)point))
            buffer_printf(out, "&#%u;", (unsigned)point);
        else
            buffer_append(out, text, length);
        text += length ? length : 1;
    }
}

static size_t count_characters(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

/* Warm colours, the same for the same name. */
static void put_colour(struct buffer *out, const char *name)
{
    unsigned hash = 2166136261U;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619U;
    buffer_printf(out, "rgb(%u,%u,%u)", 205 + hash % 50, 80 + hash / 64 % 120,
                  40 + hash / 8192 % 40);
}

struct canvas {
    struct buffer *out;
    double total, height;
};

static void draw(const struct canvas *canvas, const struct node *node, double x, unsigned level)
{
    double width = (WIDTH - 2 * MARGIN) * node->bytes / canvas->total;
    double y = canvas->height - MARGIN - ROW_HEIGHT * (level + 1);
    char size[SIZE_TEXT_MAX];
    if (width < NARROWEST)
        return;
    buffer_puts(canvas->out, "<g><title>");
    put_escaped(canvas->out, node->name, NAME_BYTES);
    buffer_printf(canvas->out,
                  ": %s, %.1f %%</title><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                  "height=\"%.1f\" rx=\"2\" fill=\"",
                  size_format((uint64_t)fmin(node->bytes, 1e18), size),
                  100 * node->bytes / canvas->total, x, y, width, ROW_HEIGHT - 1);
    put_colour(canvas->out, node->name);
    buffer_puts(canvas->out, "\"/>");
    size_t room = (size_t)(width / CHARACTER);
    if (room >= 3) {
        buffer_printf(canvas->out, "<text x=\"%.1f\" y=\"%.1f\">", x + 3, y + ROW_HEIGHT - 5);
        bool fits = count_characters(node->name) <= room;
        put_escaped(canvas->out, node->name, fits ? room : room - 2);
        buffer_puts(canvas->out, fits ? "</text>" : "..</text>");
    }
    buffer_puts(canvas->out, "</g>\n");
    for (const struct node *child = node->child; child; child = child->next) {
        draw(canvas, child, x, level + 1);
        x += (WIDTH - 2 * MARGIN) * child->bytes / canvas->total;
    }
}

static void begin(const struct canvas *canvas, const char *title, bool embedded)
{
    struct buffer *out = canvas->out;
    char size[SIZE_TEXT_MAX];
    buffer_printf(out, "<svg %sviewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"",
                  embedded ? "" : "xmlns=\"http://www.w3.org/2000/svg\" ", WIDTH, canvas->height);
    put_escaped(out, title, TITLE_MAX);
    buffer_puts(out, "\" font-family=\"monospace\" font-size=\"11\">\n");
    if (embedded)
        return;
    buffer_printf(out,
                  "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff8f0\"/>\n"
                  "<text x=\"%.0f\" y=\"24\" font-size=\"15\">",
                  MARGIN);
    put_escaped(out, title, TITLE_MAX);
    buffer_printf(out, ", %s</text>\n", size_format((uint64_t)canvas->total, size));
}

void flamegraph_draw(const char *folded, const char *title, bool embedded, struct buffer *out)
{
    CLEANUP(node_cleanup) struct node *root = make_tree(folded);
    if (!root) {
        out->failed = true;
        return;
    }
    struct canvas canvas = {.out = out, .total = fmin(fmax(root->bytes, 1), 1e18)};
    canvas.height = (embedded ? 0 : TITLE_HEIGHT) + 2 * MARGIN + ROW_HEIGHT * (depth_of(root) + 1);
    begin(&canvas, title, embedded);
    buffer_puts(out, "<g class=\"flame\">\n");
    draw(&canvas, root, MARGIN, 0);
    buffer_puts(out, "</g>\n</svg>\n");
}
