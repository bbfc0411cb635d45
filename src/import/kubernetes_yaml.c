/* SPDX-License-Identifier: Apache-2.0 */
/* `kubectl get ... -o yaml`: turned into the JSON that kubectl would have printed, then read as
 * such. Aliases, which kubectl never writes, are refused: they can make a small file huge. */
#include "import/formats.h"
#include "import/kubernetes.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

#define DEPTH_MAX 100

bool import_kubernetes_yaml_matches(const struct head *head, const struct import_options *options)
{
    (void)options;
    char first = head_first(head);
    const char *kind = memmem(head->text, head->length, "kind: ", 6);
    return kind && first != '{' && first != '[' && head_has(head, "apiVersion: ");
}

struct reader {
    struct input *input;
    yaml_parser_t parser;
    struct error *err;
};

static void cleanup_json(json_t **json)
{
    json_decref(*json);
}

static int parser_fault(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    if (parser->error == YAML_MEMORY_ERROR)
        return error_errno(reader->err, ENOMEM, "reading '%s'", input_name(reader->input));
    return input_error(reader->input, parser->problem_mark.line + 1,
                       parser->problem_mark.column + 1, reader->err, "this is no YAML: %s",
                       parser->problem ? parser->problem : "unknown fault");
}

static int next_event(struct reader *reader, yaml_event_t *ret)
{
    return yaml_parser_parse(&reader->parser, ret) ? 0 : parser_fault(reader);
}

static int refuse(struct reader *reader, const yaml_event_t *event, const char *why)
{
    return input_error(reader->input, event->start_mark.line + 1, event->start_mark.column + 1,
                       reader->err, "%s", why);
}

/* The core schema as far as the API needs it: null, booleans and whole numbers. */
static json_t *plain_scalar(const char *text)
{
    char *end;
    if (*text == '\0' || strcmp(text, "null") == 0 || strcmp(text, "~") == 0)
        return json_null();
    if (strcmp(text, "true") == 0)
        return json_true();
    if (strcmp(text, "false") == 0)
        return json_false();
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (*end == '\0' && errno == 0)
        return json_integer(number);
    return json_string(text);
}

static json_t *scalar(const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return plain_scalar(text);
    return json_stringn(text, event->data.scalar.length);
}

static int build(struct reader *reader, yaml_event_t *event, int depth, json_t **ret);

static int build_next(struct reader *reader, int depth, yaml_event_type_t end, json_t **ret)
{
    yaml_event_t event;
    int r = next_event(reader, &event);
    if (r < 0)
        return r;
    if (event.type == end) {
        yaml_event_delete(&event);
        return 0;
    }
    r = build(reader, &event, depth, ret);
    yaml_event_delete(&event);
    return r < 0 ? r : 1;
}

static int build_sequence(struct reader *reader, int depth, json_t **ret)
{
    CLEANUP(cleanup_json) json_t *array = json_array();
    for (;;) {
        json_t *item = NULL;
        int r = build_next(reader, depth + 1, YAML_SEQUENCE_END_EVENT, &item);
        if (r < 0)
            return r;
        if (r == 0)
            break;
        if (json_array_append_new(array, item) < 0)
            return error_errno(reader->err, ENOMEM, "reading '%s'", input_name(reader->input));
    }
    *ret = steal_ptr(&array);
    return 0;
}

static int build_mapping(struct reader *reader, int depth, json_t **ret)
{
    CLEANUP(cleanup_json) json_t *object = json_object();
    for (;;) {
        yaml_event_t key;
        json_t *value = NULL;
        int r = next_event(reader, &key);
        if (r < 0)
            return r;
        bool end = key.type == YAML_MAPPING_END_EVENT;
        if (!end && key.type != YAML_SCALAR_EVENT)
            r = refuse(reader, &key, "a key of Kubernetes' objects is a word");
        else if (!end)
            r = build_next(reader, depth + 1, YAML_NO_EVENT, &value);
        if (r > 0)
            r = json_object_set_new(object, (const char *)key.data.scalar.value, value) < 0
                    ? error_errno(reader->err, ENOMEM, "reading '%s'", input_name(reader->input))
                    : 0;
        yaml_event_delete(&key);
        if (r < 0)
            return r;
        if (end)
            break;
    }
    *ret = steal_ptr(&object);
    return 0;
}

static int build(struct reader *reader, yaml_event_t *event, int depth, json_t **ret)
{
    if (depth > DEPTH_MAX)
        return refuse(reader, event, "this is nested too deeply");
    if (event->type == YAML_SCALAR_EVENT) {
        *ret = scalar(event);
        return *ret ? 0 : refuse(reader, event, "this text cannot be read");
    }
    if (event->type == YAML_SEQUENCE_START_EVENT)
        return build_sequence(reader, depth, ret);
    if (event->type == YAML_MAPPING_START_EVENT)
        return build_mapping(reader, depth, ret);
    return refuse(reader, event, "an alias: kubectl writes none, so this is not its output");
}

static int read_documents(struct reader *reader, const struct fact_sink *sink)
{
    for (;;) {
        yaml_event_t event;
        int r = next_event(reader, &event);
        if (r < 0)
            return r;
        yaml_event_type_t type = event.type;
        uint64_t line = event.start_mark.line + 1;
        CLEANUP(cleanup_json) json_t *object = NULL;
        if (type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT ||
            type == YAML_MAPPING_START_EVENT || type == YAML_ALIAS_EVENT)
            r = build(reader, &event, 0, &object);
        yaml_event_delete(&event);
        if (r >= 0 && object)
            r = kubernetes_give_object(object, line, sink, reader->err);
        if (r < 0 || type == YAML_STREAM_END_EVENT)
            return r;
    }
}

int import_kubernetes_yaml_read(struct input *input, const struct fact_sink *sink,
                                struct error *err)
{
    struct reader reader = {.input = input, .err = err};
    const char *text;
    size_t length;
    int r = input_rest(input, &text, &length, err);
    if (r < 0)
        return r;
    if (!yaml_parser_initialize(&reader.parser))
        return error_errno(err, ENOMEM, "reading '%s'", input_name(input));
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, length);
    r = read_documents(&reader, sink);
    yaml_parser_delete(&reader.parser);
    return r;
}
