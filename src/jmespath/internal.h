/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens and the syntax tree, for this folder. */
#pragma once

#include "jmespath/jmespath.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum token_kind {
    TOKEN_END,
    TOKEN_NAME,        /* foo */
    TOKEN_QUOTED_NAME, /* "foo" */
    TOKEN_LITERAL,     /* `json` or 'raw' */
    TOKEN_NUMBER,
    TOKEN_DOT,
    TOKEN_STAR,
    TOKEN_LEFT_BRACKET,
    TOKEN_RIGHT_BRACKET,
    TOKEN_FLATTEN, /* [] */
    TOKEN_FILTER,  /* [? */
    TOKEN_LEFT_PAREN,
    TOKEN_RIGHT_PAREN,
    TOKEN_LEFT_BRACE,
    TOKEN_RIGHT_BRACE,
    TOKEN_COMMA,
    TOKEN_COLON,
    TOKEN_CURRENT, /* @ */
    TOKEN_REFERENCE,
    TOKEN_PIPE,
    TOKEN_OR,
    TOKEN_AND,
    TOKEN_NOT,
    TOKEN_EQ,
    TOKEN_NE,
    TOKEN_LT,
    TOKEN_LE,
    TOKEN_GT,
    TOKEN_GE,
    TOKEN_KIND_COUNT
};

struct token {
    enum token_kind kind;
    size_t at;      /* offset in the expression */
    json_t *value;  /* NAME, QUOTED_NAME: string; LITERAL: any; owned */
    int64_t number; /* NUMBER */
};

/* All tokens of an expression, the last one is TOKEN_END; lexer_free() them. */
int lexer_read(const char *text, struct token **ret, size_t *ret_count, struct error *err);
void lexer_free(struct token *tokens, size_t count);

enum node_kind {
    NODE_IDENTITY, /* @, and an absent side of a projection */
    NODE_FIELD,
    NODE_LITERAL,
    NODE_INDEX,
    NODE_SLICE,
    NODE_CHAIN,             /* left, then right on its result: a.b, a[0], a | b */
    NODE_PROJECTION,        /* list: right on each element of left */
    NODE_VALUE_PROJECTION,  /* object: right on each value of left */
    NODE_FILTER_PROJECTION, /* children: left, right, condition */
    NODE_FLATTEN,
    NODE_OR,
    NODE_AND,
    NODE_NOT,
    NODE_COMPARISON,
    NODE_MULTI_LIST,
    NODE_MULTI_HASH, /* children with their `value` in NODE_PAIR */
    NODE_PAIR,       /* value: the key; one child */
    NODE_FUNCTION,   /* value: the name */
    NODE_REFERENCE,  /* &expression */
};

struct node {
    enum node_kind kind;
    struct node **children;
    size_t count;
    json_t *value;              /* FIELD, LITERAL, PAIR, FUNCTION; owned */
    enum token_kind comparator; /* COMPARISON */
    int64_t index;              /* INDEX */
    int64_t slice[3];           /* SLICE: start, stop, step */
    bool has_slice[3];
};

struct jmespath {
    struct node *root;
};

void node_free(struct node *node);

/* How many values one search may still visit. */
struct budget {
    size_t left;
};
struct budget budget_for(const json_t *document);
/* Usage error ("too-large") when it is used up. */
int budget_charge(struct budget *budget, size_t values, struct error *err);
/* The same for a value with all that is in it. */
int budget_charge_whole(struct budget *budget, const json_t *value, struct error *err);

/* A function's argument: a value, or a reference to an expression. */
struct argument {
    json_t *value;           /* owned; NULL for a reference */
    const struct node *node; /* borrowed */
    struct budget *budget;   /* borrowed: for what the reference evaluates */
};

/* All of them charge what they visit to the budget. */
int node_evaluate(const struct node *node, json_t *value, struct budget *budget, json_t **ret,
                  struct error *err);
int function_call(const char *name, const struct argument *arguments, size_t count, json_t **ret,
                  struct error *err);

/* JMESPath's equality: numbers by value, 1 == 1.0. */
bool value_equal(const json_t *a, const json_t *b);
bool value_true(const json_t *value);
/* -1, 0, 1 for two numbers or two strings. */
int value_order(const json_t *a, const json_t *b);

/* The functions and what they take. */
enum argument_type {
    TYPE_NUMBER = 1,
    TYPE_STRING = 2,
    TYPE_BOOLEAN = 4,
    TYPE_ARRAY = 8,
    TYPE_OBJECT = 16,
    TYPE_NULL = 32,
    TYPE_REFERENCE = 64,
    TYPE_NUMBERS = 128, /* array of numbers */
    TYPE_STRINGS = 256, /* array of strings */
    TYPE_ANY = 63,
};

struct function {
    const char *name;
    unsigned min_arguments;
    bool variadic; /* more of the last one may follow */
    unsigned types[2];
    int (*call)(const struct argument *arguments, size_t count, json_t **ret, struct error *err);
};
extern const struct function FUNCTIONS[];
