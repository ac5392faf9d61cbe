// A test program is a main() that calls CHECK; the first failure prints where and what, and ends with status 1.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <iostream>

#define CHECK(condition)                                                                 \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                                      \
    }                                                                                    \
  } while (0)

// Copies both sides: a reference into a temporary, as from *optional_returning(), would outlive it.
#define CHECK_EQ(got, expected)                                                                                    \
  do {                                                                                                             \
    const auto got_value = (got);                                                                                  \
    const auto expected_value = (expected);                                                                        \
    if (!(got_value == expected_value)) {                                                                          \
      std::cerr << __FILE__ << ':' << __LINE__ << ": " #got " is " << got_value << ", expected " << expected_value \
                << '\n';                                                                                           \
      std::exit(1);                                                                                                \
    }                                                                                                              \
  } while (0)

#define CHECK_THROWS(expression, exception)                                                              \
  do {                                                                                                   \
    bool threw_as_expected = false;                                                                      \
    try {                                                                                                \
      (void)(expression);                                                                                \
    } catch (const exception&) {                                                                         \
      threw_as_expected = true;                                                                          \
    }                                                                                                    \
    if (!threw_as_expected) {                                                                            \
      std::fprintf(stderr, "%s:%d: %s did not throw %s\n", __FILE__, __LINE__, #expression, #exception); \
      std::exit(1);                                                                                      \
    }                                                                                                    \
  } while (0)
