/* SPDX-License-Identifier: Apache-2.0 */
/* A top-down operator precedence parser (Pratt 1973), with the binding powers of jmespath.py. */
#include "jmespath/internal.h"

#include <errno.h>
#include <stdlib.h>

#define DEPTH_MAX       200
#define PROJECTION_STOP 10

struct parser {
    struct token *tokens;
    size_t at;
    unsigned depth;
    struct error *err;
};

static const int BINDING[TOKEN_KIND_COUNT] = {
    [TOKEN_PIPE] = 1,        [TOKEN_OR] = 2,
    [TOKEN_AND] = 3,         [TOKEN_EQ] = 5,
    [TOKEN_NE] = 5,          [TOKEN_LT] = 5,
    [TOKEN_LE] = 5,          [TOKEN_GT] = 5,
    [TOKEN_GE] = 5,          [TOKEN_FLATTEN] = 9,
    [TOKEN_STAR] = 20,       [TOKEN_FILTER] = 21,
    [TOKEN_DOT] = 40,        [TOKEN_NOT] = 45,
    [TOKEN_LEFT_BRACE] = 50, [TOKEN_LEFT_BRACKET] = 55,
    [TOKEN_LEFT_PAREN] = 60,
};

/* All of these return NULL after setting the error; they take the nodes they are given. */
static struct node *parse_expression(struct parser *parser, int binding);

void node_free(struct node *node)
{
    if (!node)
        return;
    for (size_t i = 0; i < node->count; i++)
        node_free(node->children[i]);
    json_decref(node->value);
    free(node->children);
    free(node);
}

static struct token *current(struct parser *parser)
{
    return &parser->tokens[parser->at];
}

static enum token_kind next_kind(struct parser *parser)
{
    return current(parser)->kind == TOKEN_END ? TOKEN_END : current(parser)[1].kind;
}

static struct node *fault(struct parser *parser, const char *what)
{
    if (current(parser)->kind == TOKEN_END)
        error_usage(parser->err, "syntax: the expression ends too early: %s", what);
    else
        error_usage(parser->err, "syntax: %s at column %zu of the expression", what,
                    current(parser)->at + 1);
    return NULL;
}

static bool accept(struct parser *parser, enum token_kind kind)
{
    if (current(parser)->kind != kind)
        return false;
    parser->at++;
    return true;
}

static int append(struct node *node, struct node *child)
{
    struct node **grown = reallocarray(node->children, node->count + 1, sizeof(struct node *));
    if (!grown)
        return -ENOMEM;
    node->children = grown;
    grown[node->count++] = child;
    return 0;
}

/* A node with up to three children; frees them when it cannot be made or one of them is missing. */
static struct node *make(struct parser *parser, enum node_kind kind, struct node *first,
                         struct node *second, struct node *third, unsigned count)
{
    struct node *children[] = {first, second, third};
    struct node *node = calloc(1, sizeof(*node));
    bool complete = node != NULL;
    for (unsigned i = 0; i < count; i++)
        complete = complete && children[i];
    if (complete) {
        node->kind = kind;
        unsigned i = 0;
        while (i < count && append(node, children[i]) == 0)
            i++;
        if (i == count)
            return node;
        node->count = 0;
        free(node->children);
        node->children = NULL;
    }
    if (!node || (complete && count > 0))
        error_errno(parser->err, ENOMEM, "reading the expression");
    free(node);
    for (unsigned i = 0; i < count; i++)
        node_free(children[i]);
    return NULL;
}

static struct node *identity(struct parser *parser)
{
    return make(parser, NODE_IDENTITY, NULL, NULL, NULL, 0);
}

/* A node that holds the value of the token before the current one. */
static struct node *make_value(struct parser *parser, enum node_kind kind)
{
    struct node *node = make(parser, kind, NULL, NULL, NULL, 0);
    if (node)
        node->value = json_incref(parser->tokens[parser->at - 1].value);
    return node;
}

static struct node *parse_multi_list(struct parser *parser)
{
    struct node *list = make(parser, NODE_MULTI_LIST, NULL, NULL, NULL, 0);
    while (list) {
        struct node *item = parse_expression(parser, 0);
        if (!item || append(list, item) < 0) {
            node_free(item);
            break;
        }
        if (accept(parser, TOKEN_RIGHT_BRACKET))
            return list;
        if (!accept(parser, TOKEN_COMMA)) {
            fault(parser, "',' or ']' expected");
            break;
        }
    }
    node_free(list);
    return NULL;
}

static struct node *parse_pair(struct parser *parser)
{
    if (!accept(parser, TOKEN_NAME) && !accept(parser, TOKEN_QUOTED_NAME))
        return fault(parser, "a key expected");
    struct token *key = current(parser) - 1;
    if (!accept(parser, TOKEN_COLON))
        return fault(parser, "':' expected after the key");
    struct node *pair = make(parser, NODE_PAIR, parse_expression(parser, 0), NULL, NULL, 1);
    if (pair)
        pair->value = json_incref(key->value);
    return pair;
}

static struct node *parse_multi_hash(struct parser *parser)
{
    struct node *hash = make(parser, NODE_MULTI_HASH, NULL, NULL, NULL, 0);
    while (hash) {
        struct node *pair = parse_pair(parser);
        if (!pair || append(hash, pair) < 0) {
            node_free(pair);
            break;
        }
        if (accept(parser, TOKEN_RIGHT_BRACE))
            return hash;
        if (!accept(parser, TOKEN_COMMA)) {
            fault(parser, "',' or '}' expected");
            break;
        }
    }
    node_free(hash);
    return NULL;
}

static struct node *parse_dot_right(struct parser *parser, int binding)
{
    switch ((int)current(parser)->kind) {
    case TOKEN_NAME:
    case TOKEN_QUOTED_NAME:
    case TOKEN_STAR:
        return parse_expression(parser, binding);
    case TOKEN_LEFT_BRACKET:
        parser->at++;
        return parse_multi_list(parser);
    case TOKEN_LEFT_BRACE:
        parser->at++;
        return parse_multi_hash(parser);
    default:
        return fault(parser, "a name, '*', '[' or '{' expected after '.'");
    }
}

static struct node *parse_projection_right(struct parser *parser, int binding)
{
    enum token_kind kind = current(parser)->kind;
    if (BINDING[kind] < PROJECTION_STOP)
        return identity(parser);
    if (kind == TOKEN_LEFT_BRACKET || kind == TOKEN_FILTER)
        return parse_expression(parser, binding);
    if (accept(parser, TOKEN_DOT))
        return parse_dot_right(parser, binding);
    return fault(parser, "'.', '[' or an operator expected");
}

/* After '[', at a number or ':'. */
static struct node *parse_index(struct parser *parser)
{
    struct node node = {.kind = NODE_INDEX};
    unsigned part = 0;
    while (!accept(parser, TOKEN_RIGHT_BRACKET)) {
        if (current(parser)->kind == TOKEN_NUMBER && !node.has_slice[part]) {
            node.slice[part] = current(parser)->number;
            node.has_slice[part] = true;
        } else if (current(parser)->kind == TOKEN_COLON && part < 2) {
            node.kind = NODE_SLICE;
            part++;
        } else {
            return fault(parser, "a number, ':' or ']' expected");
        }
        parser->at++;
    }
    struct node *made = make(parser, node.kind, NULL, NULL, NULL, 0);
    if (made) {
        node.index = node.slice[0];
        *made = node;
    }
    return made;
}

static struct node *apply_index(struct parser *parser, struct node *left)
{
    struct node *index = parse_index(parser);
    bool slice = index && index->kind == NODE_SLICE;
    struct node *chain = make(parser, NODE_CHAIN, left, index, NULL, 2);
    if (!slice || !chain)
        return chain;
    struct node *right = parse_projection_right(parser, BINDING[TOKEN_STAR]);
    return make(parser, NODE_PROJECTION, chain, right, NULL, 2);
}

static struct node *parse_flatten(struct parser *parser, struct node *left)
{
    struct node *flat = make(parser, NODE_FLATTEN, left, NULL, NULL, 1);
    struct node *right = flat ? parse_projection_right(parser, BINDING[TOKEN_FLATTEN]) : NULL;
    return make(parser, NODE_PROJECTION, flat, right, NULL, 2);
}

static struct node *parse_filter(struct parser *parser, struct node *left)
{
    struct node *right = NULL;
    struct node *condition = left ? parse_expression(parser, 0) : NULL;
    if (condition && !accept(parser, TOKEN_RIGHT_BRACKET)) {
        fault(parser, "']' expected after the filter's condition");
    } else if (condition) {
        right = current(parser)->kind == TOKEN_FLATTEN
                    ? identity(parser)
                    : parse_projection_right(parser, BINDING[TOKEN_FILTER]);
    }
    return make(parser, NODE_FILTER_PROJECTION, left, right, condition, 3);
}

/* `binding`: how far the right side reaches. After "a." jmespath.py (and every port of it) ends it
 * at the next name: a.*.b.c is (a.*.b).c. */
static struct node *parse_star(struct parser *parser, enum node_kind kind, int binding,
                               struct node *left)
{
    struct node *right = NULL;
    if (left && kind == NODE_VALUE_PROJECTION && current(parser)->kind == TOKEN_RIGHT_BRACKET)
        right = identity(parser);
    else if (left)
        right = parse_projection_right(parser, binding);
    return make(parser, kind, left, right, NULL, 2);
}

static bool accept_star_bracket(struct parser *parser)
{
    if (current(parser)->kind != TOKEN_STAR || next_kind(parser) != TOKEN_RIGHT_BRACKET)
        return false;
    parser->at += 2;
    return true;
}

static bool at_index(struct parser *parser)
{
    return current(parser)->kind == TOKEN_NUMBER || current(parser)->kind == TOKEN_COLON;
}

static struct node *parse_bracket(struct parser *parser)
{
    if (at_index(parser))
        return apply_index(parser, identity(parser));
    if (accept_star_bracket(parser))
        return parse_star(parser, NODE_PROJECTION, BINDING[TOKEN_STAR], identity(parser));
    return parse_multi_list(parser);
}

static struct node *parse_paren(struct parser *parser)
{
    struct node *inner = parse_expression(parser, 0);
    if (!inner || accept(parser, TOKEN_RIGHT_PAREN))
        return inner;
    node_free(inner);
    return fault(parser, "')' expected");
}

static struct node *parse_quoted_name(struct parser *parser)
{
    if (current(parser)->kind == TOKEN_LEFT_PAREN)
        return fault(parser, "a function's name cannot be quoted; '('");
    return make_value(parser, NODE_FIELD);
}

/* What can begin an expression. */
static struct node *parse_prefix(struct parser *parser)
{
    enum token_kind kind = current(parser)->kind;
    if (kind != TOKEN_END)
        parser->at++;
    switch ((int)kind) {
    case TOKEN_LITERAL:
        return make_value(parser, NODE_LITERAL);
    case TOKEN_NAME:
        return make_value(parser, NODE_FIELD);
    case TOKEN_QUOTED_NAME:
        return parse_quoted_name(parser);
    case TOKEN_STAR:
        return parse_star(parser, NODE_VALUE_PROJECTION, BINDING[TOKEN_STAR], identity(parser));
    case TOKEN_FILTER:
        return parse_filter(parser, identity(parser));
    case TOKEN_FLATTEN:
        return parse_flatten(parser, identity(parser));
    case TOKEN_LEFT_BRACE:
        return parse_multi_hash(parser);
    case TOKEN_LEFT_PAREN:
        return parse_paren(parser);
    case TOKEN_LEFT_BRACKET:
        return parse_bracket(parser);
    case TOKEN_NOT:
        return make(parser, NODE_NOT, parse_expression(parser, BINDING[TOKEN_NOT]), NULL, NULL, 1);
    case TOKEN_REFERENCE:
        return make(parser, NODE_REFERENCE, parse_expression(parser, 0), NULL, NULL, 1);
    case TOKEN_CURRENT:
        return identity(parser);
    default:
        if (kind != TOKEN_END)
            parser->at--;
        return fault(parser, "an expression expected");
    }
}

static struct node *parse_call(struct parser *parser, struct node *left)
{
    /* Only a plain name can be called; a quoted one was refused before. */
    if (left->kind != NODE_FIELD || parser->tokens[parser->at - 2].kind != TOKEN_NAME) {
        node_free(left);
        parser->at--;
        return fault(parser, "'(' after something that is no function's name");
    }
    left->kind = NODE_FUNCTION;
    if (accept(parser, TOKEN_RIGHT_PAREN))
        return left;
    for (;;) {
        struct node *argument = parse_expression(parser, 0);
        if (!argument || append(left, argument) < 0) {
            node_free(argument);
            break;
        }
        if (accept(parser, TOKEN_RIGHT_PAREN))
            return left;
        if (!accept(parser, TOKEN_COMMA)) {
            fault(parser, "',' or ')' expected");
            break;
        }
    }
    node_free(left);
    return NULL;
}

static struct node *parse_dot(struct parser *parser, struct node *left)
{
    if (accept(parser, TOKEN_STAR))
        return parse_star(parser, NODE_VALUE_PROJECTION, BINDING[TOKEN_DOT], left);
    return make(parser, NODE_CHAIN, left, parse_dot_right(parser, BINDING[TOKEN_DOT]), NULL, 2);
}

static struct node *parse_bracket_after(struct parser *parser, struct node *left)
{
    if (at_index(parser))
        return apply_index(parser, left);
    if (accept_star_bracket(parser))
        return parse_star(parser, NODE_PROJECTION, BINDING[TOKEN_STAR], left);
    node_free(left);
    return fault(parser, "a number, ':' or '*' expected after '['");
}

static struct node *parse_binary(struct parser *parser, enum token_kind kind, struct node *left)
{
    struct node *right = parse_expression(parser, BINDING[kind]);
    enum node_kind made = kind == TOKEN_PIPE  ? NODE_CHAIN
                          : kind == TOKEN_OR  ? NODE_OR
                          : kind == TOKEN_AND ? NODE_AND
                                              : NODE_COMPARISON;
    struct node *node = make(parser, made, left, right, NULL, 2);
    if (node)
        node->comparator = kind;
    return node;
}

/* What follows a complete expression on its left. */
static struct node *parse_infix(struct parser *parser, struct node *left)
{
    enum token_kind kind = current(parser)->kind;
    parser->at++;
    switch ((int)kind) {
    case TOKEN_DOT:
        return parse_dot(parser, left);
    case TOKEN_LEFT_PAREN:
        return parse_call(parser, left);
    case TOKEN_FILTER:
        return parse_filter(parser, left);
    case TOKEN_FLATTEN:
        return parse_flatten(parser, left);
    case TOKEN_LEFT_BRACKET:
        return parse_bracket_after(parser, left);
    case TOKEN_PIPE:
    case TOKEN_OR:
    case TOKEN_AND:
    case TOKEN_EQ:
    case TOKEN_NE:
    case TOKEN_LT:
    case TOKEN_LE:
    case TOKEN_GT:
    case TOKEN_GE:
        return parse_binary(parser, kind, left);
    default:
        parser->at--;
        node_free(left);
        return fault(parser, "an operator expected");
    }
}

static struct node *parse_expression(struct parser *parser, int binding)
{
    if (++parser->depth > DEPTH_MAX)
        return fault(parser, "the expression is nested too deeply");
    struct node *left = parse_prefix(parser);
    unsigned steps = 0;
    while (left && binding < BINDING[current(parser)->kind]) {
        left = parse_infix(parser, left);
        /* Each step puts the tree so far one level deeper. */
        if (left && ++steps > 10 * DEPTH_MAX) {
            node_free(left);
            return fault(parser, "the expression is too long");
        }
    }
    parser->depth--;
    return left;
}

int jmespath_compile(const char *expression, struct jmespath **ret, struct error *err)
{
    struct token *tokens = NULL;
    size_t count = 0;
    int r = lexer_read(expression, &tokens, &count, err);
    if (r < 0)
        return r;
    struct parser parser = {.tokens = tokens, .err = err};
    *err = (struct error){0};
    struct node *root = parse_expression(&parser, 0);
    if (root && current(&parser)->kind != TOKEN_END) {
        node_free(root);
        root = fault(&parser, "something that does not belong there");
    }
    lexer_free(tokens, count);
    struct jmespath *compiled = root ? calloc(1, sizeof(*compiled)) : NULL;
    if (!compiled) {
        node_free(root);
        return err->code < 0 ? err->code : error_errno(err, ENOMEM, "reading the expression");
    }
    compiled->root = root;
    *ret = compiled;
    return 0;
}

void jmespath_free(struct jmespath *expression)
{
    if (!expression)
        return;
    node_free(expression->root);
    free(expression);
}
