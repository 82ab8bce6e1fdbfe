/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Bricks of output that know neither daemon's messages: JSON objects filled
 * key by key, and times in few letters.  carpctl(8) has the schema.  Running
 * out of memory ends the program.
 */
#ifndef CARPCTL_PUT_H
#define CARPCTL_PUT_H

#include <err.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <jansson.h>

#include "../common/auth.h"
#include "../common/ipaddr.h"

#define PUT_SCHEMA	1
#define PUT_TIME_STRLEN	32
#define PUT_AUTH_STRLEN	32

/*
 * Does a field of a message end with a NUL, and has it nothing that a terminal
 * would obey?  Who sent it may have been taken over.
 */
static inline bool
put_is_text(const char *s, size_t size)
{
	size_t	 i;

	for (i = 0; i < size && s[i] != '\0'; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			return (false);
	return (i < size);
}
#define PUT_IS_TEXT(field)	put_is_text((field), sizeof(field))

/* jansson's allocations fail only when memory is out. */
static inline json_t *
put_must(json_t *j)
{
	if (j == NULL)
		errx(1, "JSON: out of memory");
	return (j);
}

static inline void
put_new(json_t *o, const char *key, json_t *value)
{
	if (json_object_set_new(o, key, put_must(value)) == -1)
		errx(1, "JSON: out of memory");
}

static inline void
put_str(json_t *o, const char *key, const char *s)
{
	json_t	*value = json_string(s);

	/* Names of interfaces may be any bytes; JSON is UTF-8. */
	put_new(o, key, value != NULL ? value : json_string("?"));
}

static inline void
put_int(json_t *o, const char *key, json_int_t n)
{
	put_new(o, key, json_integer(n));
}

static inline void
put_bool(json_t *o, const char *key, bool on)
{
	put_new(o, key, json_boolean(on));
}

/* Counters stay below 2^63 for as long as anybody will look. */
static inline void
put_u64(json_t *o, const char *key, uint64_t n)
{
	put_int(o, key, n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static inline json_t *
put_object(json_t *o, const char *key)
{
	put_new(o, key, json_object());
	return (json_object_get(o, key));
}

static inline json_t *
put_array(json_t *o, const char *key)
{
	put_new(o, key, json_array());
	return (json_object_get(o, key));
}

/* A new object at the end of array. */
static inline json_t *
put_append(json_t *array)
{
	json_t	*o = put_must(json_object());

	if (json_array_append_new(array, o) == -1)
		errx(1, "JSON: out of memory");
	return (o);
}

static inline void
put_append_str(json_t *array, const char *s)
{
	json_t	*value = json_string(s);

	if (value == NULL)
		value = put_must(json_string("?"));
	if (json_array_append_new(array, value) == -1)
		errx(1, "JSON: out of memory");
}

static inline void
put_append_int(json_t *array, json_int_t n)
{
	if (json_array_append_new(array, put_must(json_integer(n))) == -1)
		errx(1, "JSON: out of memory");
}

/* 2026-11-22T04:03:11.123Z */
static inline void
put_time(json_t *o, const char *key, uint64_t ms)
{
	time_t		 sec = (time_t)(ms / 1000);
	struct tm	 tm;
	char		 day[PUT_TIME_STRLEN], buf[48];

	if (gmtime_r(&sec, &tm) == NULL ||
	    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
		put_new(o, key, json_null());
		return;
	}
	snprintf(buf, sizeof(buf), "%s.%03uZ", day, (unsigned int)(ms % 1000));
	put_str(o, key, buf);
}

/* null where there is none. */
static inline void
put_addr(json_t *o, const char *key, const struct ipaddr *a)
{
	char	 buf[IPADDR_STRLEN];

	if (a->af == 0)
		put_new(o, key, json_null());
	else
		put_str(o, key, ipaddr_print(a, buf, sizeof(buf)));
}

/* Eight hexadecimal digits; null when it is not known. */
static inline void
put_node(json_t *o, const char *key, uint32_t node)
{
	char	 buf[9];

	snprintf(buf, sizeof(buf), "%08" PRIx32, node);
	if (node == 0)
		put_new(o, key, json_null());
	else
		put_str(o, key, buf);
}

/* 42s, 3m05s, 2h03m, 4d02h: two units say enough. */
static inline const char *
put_duration(uint64_t sec, char *buf, size_t len)
{
	if (sec < 60)
		snprintf(buf, len, "%us", (unsigned int)sec);
	else if (sec < 3600)
		snprintf(buf, len, "%um%02us", (unsigned int)(sec / 60),
		    (unsigned int)(sec % 60));
	else if (sec < 86400)
		snprintf(buf, len, "%uh%02um", (unsigned int)(sec / 3600),
		    (unsigned int)(sec % 3600 / 60));
	else
		snprintf(buf, len, "%" PRIu64 "d%02uh", sec / 86400,
		    (unsigned int)(sec % 86400 / 3600));
	return (buf);
}

/* Was there a trailer with the id of a key? */
static inline bool
put_has_key(uint8_t auth)
{
	return (auth == AUTH_PROVEN || auth == AUTH_UNKNOWN ||
	    auth == AUTH_UNPROVEN);
}

/*
 * What a peer's packets show, enum auth_verdict: "plain", "key 2", or that key
 * and why it does not count; into buf, which is returned.
 */
static inline const char *
put_auth(uint8_t auth, uint16_t keyid, bool sealed,
    char buf[static PUT_AUTH_STRLEN])
{
	if (!put_has_key(auth))
		return ("plain");
	snprintf(buf, PUT_AUTH_STRLEN, "key %u%s", keyid,
	    auth == AUTH_UNKNOWN ? " unknown" :
	    auth == AUTH_UNPROVEN ? " unproven" : sealed ? " encrypted" : "");
	return (buf);
}

static inline void
put_auth_json(json_t *o, uint8_t auth, uint16_t keyid)
{
	put_new(o, "key", put_has_key(auth) ? json_integer(keyid) :
	    json_null());
	put_str(o, "auth", auth < AUTH_VERDICTS ? auth_verdict_names[auth] :
	    "?");
}

#endif
