/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/lab_file_yaml.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define DEPTH_MAX  16
#define BUDGET_MAX (1 << 20)
/* What a node costs beside its text, so that endless empty items cost something too. */
#define NODE_COST 16

static struct origin origin_at(const char *file, const yaml_mark_t *mark, const char *name)
{
    return (struct origin){
        .file = file,
        .line = (unsigned)mark->line + 1,
        .column = (unsigned)mark->column + 1,
        .name = name,
    };
}

static int fault_at(const char *file, const yaml_mark_t *mark, const char *text, struct error *err)
{
    struct origin origin = origin_at(file, mark, NULL);
    error_usage(err, "%s", text);
    return origin_wrap(&origin, err);
}

/* The reader's faults (bytes that are no UTF-8) carry an offset, no mark. */
static yaml_mark_t mark_of_offset(const char *text, size_t length, size_t offset)
{
    yaml_mark_t mark = {.index = offset};
    for (size_t i = 0; i < offset && i < length; i++) {
        mark.column++;
        if (text[i] == '\n') {
            mark.line++;
            mark.column = 0;
        }
    }
    return mark;
}

static int parser_fault(const char *file, const yaml_parser_t *parser, const char *text,
                        size_t length, struct error *err)
{
    if (parser->error == YAML_MEMORY_ERROR)
        return error_errno(err, ENOMEM, "reading '%s'", file);
    yaml_mark_t mark = parser->problem_mark;
    if (parser->error == YAML_READER_ERROR)
        mark = mark_of_offset(text, length, parser->problem_offset);
    char problem[256];
    snprintf(problem, sizeof(problem), "this is not YAML: %s%s%s",
             parser->problem ? parser->problem : "unknown fault", parser->context ? ", " : "",
             parser->context ? parser->context : "");
    return fault_at(file, &mark, problem, err);
}

static int start_parser(yaml_parser_t *parser, const char *text, size_t length, struct error *err)
{
    if (!yaml_parser_initialize(parser))
        return error_errno(err, ENOMEM, "parsing YAML");
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(parser, (const unsigned char *)text, length);
    return 0;
}

/* The tags of YAML's core schema say nothing that is not known here. Any other (!!binary, !include)
 * wants something done that is not done. */
static bool is_known_tag(const yaml_event_t *event)
{
    static const char prefix[] = "tag:yaml.org,2002:";
    static const char *const names[] = {"str", "int", "float", "bool", "null", "seq", "map"};
    const yaml_char_t *tag = NULL;
    if (event->type == YAML_SCALAR_EVENT)
        tag = event->data.scalar.tag;
    else if (event->type == YAML_SEQUENCE_START_EVENT)
        tag = event->data.sequence_start.tag;
    else if (event->type == YAML_MAPPING_START_EVENT)
        tag = event->data.mapping_start.tag;
    const char *text = (const char *)tag;
    if (!text || strcmp(text, "!") == 0)
        return true;
    if (strncmp(text, prefix, strlen(prefix)) != 0)
        return false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text + strlen(prefix), names[i]) == 0)
            return true;
    }
    return false;
}

/* One event of the first pass. Nesting is bounded before anything is built from it: libyaml takes
 * quadratic time on deep flow collections. */
static int check_event(const char *file, const yaml_event_t *event, unsigned *depth,
                       unsigned *documents, struct error *err)
{
    yaml_event_type_t type = event->type;
    if (type == YAML_DOCUMENT_START_EVENT && ++*documents > 1)
        return fault_at(file, &event->start_mark, "a lab file is one document", err);
    if (!is_known_tag(event))
        return fault_at(file, &event->start_mark,
                        "a lab file has no such tag; write the value itself", err);
    if (type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT) {
        if (++*depth > DEPTH_MAX)
            return fault_at(file, &event->start_mark, "nested deeper than any lab file is", err);
    } else if (type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT) {
        --*depth;
    }
    return 0;
}

static int check_shape(const char *file, const char *text, size_t length, struct error *err)
{
    CLEANUP(yaml_parser_delete) yaml_parser_t parser = {0};
    unsigned depth = 0;
    unsigned documents = 0;
    int r = start_parser(&parser, text, length, err);
    for (bool end = false; r == 0 && !end;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event))
            return parser_fault(file, &parser, text, length, err);
        end = event.type == YAML_STREAM_END_EVENT;
        r = check_event(file, &event, &depth, &documents, err);
        yaml_event_delete(&event);
    }
    return r;
}

int lab_yaml_load(const char *file, const char *text, size_t length, struct lab_yaml *ret,
                  struct error *err)
{
    CLEANUP(yaml_parser_delete) yaml_parser_t parser = {0};
    struct lab_yaml yaml = {.file = file, .budget = BUDGET_MAX};
    int r = check_shape(file, text, length, err);
    if (r == 0)
        r = start_parser(&parser, text, length, err);
    if (r < 0)
        return r;
    if (!yaml_parser_load(&parser, &yaml.document))
        return parser_fault(file, &parser, text, length, err);
    yaml.root = yaml_document_get_root_node(&yaml.document);
    if (!yaml.root || yaml.root->type != YAML_MAPPING_NODE) {
        struct origin origin = {.file = file, .line = 1, .column = 1};
        if (yaml.root)
            origin = origin_at(file, &yaml.root->start_mark, NULL);
        error_usage(err, "%s", yaml.root ? "a lab file is a map of keys" : "the lab file is empty");
        yaml_document_delete(&yaml.document);
        return origin_wrap(&origin, err);
    }
    *ret = yaml;
    return 0;
}

void lab_yaml_done(struct lab_yaml *yaml)
{
    if (yaml->root)
        yaml_document_delete(&yaml->document);
    yaml->root = NULL;
}

struct origin lab_yaml_origin(const struct lab_yaml *yaml, const yaml_node_t *node,
                              const char *name)
{
    return origin_at(yaml->file, &node->start_mark, name);
}

const char *lab_yaml_kind(const yaml_node_t *node)
{
    if (node->type == YAML_SEQUENCE_NODE)
        return "a list";
    return node->type == YAML_MAPPING_NODE ? "a map" : "a single value";
}

static int spend(struct lab_yaml *yaml, const yaml_node_t *node, size_t bytes, struct error *err)
{
    if (bytes + NODE_COST > yaml->budget)
        return fault_at(yaml->file, &node->start_mark,
                        "written out without aliases, the lab file would be larger than 1 MiB",
                        err);
    yaml->budget -= bytes + NODE_COST;
    return 0;
}

static bool is_null(const yaml_node_t *node, const char *text)
{
    if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    return text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

int lab_yaml_text(struct lab_yaml *yaml, const yaml_node_t *node, const char *name,
                  const char *if_null, const char **ret, struct error *err)
{
    struct origin origin = lab_yaml_origin(yaml, node, name);
    if (node->type != YAML_SCALAR_NODE) {
        error_usage(err, "takes a single value, not %s", lab_yaml_kind(node));
        return origin_wrap(&origin, err);
    }
    const char *text = (const char *)node->data.scalar.value;
    int r = spend(yaml, node, node->data.scalar.length, err);
    if (r < 0)
        return r;
    if (strlen(text) != node->data.scalar.length) {
        error_usage(err, "the value holds a NUL character");
        return origin_wrap(&origin, err);
    }
    if (is_null(node, text)) {
        if (!if_null) {
            error_usage(err, name ? "has no value" : "what stands here has no value (it is null)");
            return origin_wrap(&origin, err);
        }
        text = if_null;
    }
    *ret = text;
    return 0;
}

/* The key of a pair: a scalar that differs from all keys before it. */
static int check_key(struct lab_yaml *yaml, const yaml_node_t *node, const yaml_node_pair_t *last,
                     const char *name, const char **ret, struct error *err)
{
    const yaml_node_t *key_node = yaml_document_get_node(&yaml->document, last->key);
    int r = lab_yaml_text(yaml, key_node, name, NULL, ret, err);
    if (r < 0 || !*ret)
        return r;
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < last; pair++) {
        const yaml_node_t *other = yaml_document_get_node(&yaml->document, pair->key);
        if (strcmp(*ret, (const char *)other->data.scalar.value) != 0)
            continue;
        struct origin origin = lab_yaml_origin(yaml, key_node, NULL);
        error_usage(err, "the key '%.60s' stands there twice (first in line %zu)", *ret,
                    other->start_mark.line + 1);
        return origin_wrap(&origin, err);
    }
    return 0;
}

int lab_yaml_pairs(struct lab_yaml *yaml, const yaml_node_t *node, const char *name,
                   lab_yaml_pair callback, void *context, struct error *err)
{
    if (node->type != YAML_MAPPING_NODE) {
        struct origin origin = lab_yaml_origin(yaml, node, name);
        error_usage(err, "takes a map, not %s", lab_yaml_kind(node));
        return origin_wrap(&origin, err);
    }
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const char *key = NULL;
        int r = check_key(yaml, node, pair, name, &key, err);
        if (r == 0)
            r = callback(yaml, key, yaml_document_get_node(&yaml->document, pair->key),
                         yaml_document_get_node(&yaml->document, pair->value), context, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int lab_yaml_items(struct lab_yaml *yaml, const yaml_node_t *node, const char *name,
                   lab_yaml_item callback, void *context, struct error *err)
{
    if (node->type != YAML_SEQUENCE_NODE) {
        struct origin origin = lab_yaml_origin(yaml, node, name);
        error_usage(err, "takes a list, not %s", lab_yaml_kind(node));
        return origin_wrap(&origin, err);
    }
    for (yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        const yaml_node_t *item_node = yaml_document_get_node(&yaml->document, *item);
        int r = spend(yaml, item_node, 0, err);
        if (r == 0)
            r = callback(yaml, item_node, context, err);
        if (r < 0)
            return r;
    }
    return 0;
}
