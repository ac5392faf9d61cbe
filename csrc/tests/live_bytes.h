// Counts what a test program has allocated and not yet freed. Include it once in a program: it replaces operator new.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

std::size_t live_bytes = 0;
std::size_t n_allocations = 0;

constexpr std::size_t kSizeBytes = alignof(std::max_align_t);  // in front of each block: how large it is

}  // namespace

void* operator new(std::size_t size) {
  auto* block = static_cast<char*>(std::malloc(size + kSizeBytes));
  if (block == nullptr) throw std::bad_alloc();
  *reinterpret_cast<std::size_t*>(block) = size;
  live_bytes += size;
  ++n_allocations;
  return block + kSizeBytes;
}

void operator delete(void* pointer) noexcept {
  if (pointer == nullptr) return;
  char* const block = static_cast<char*>(pointer) - kSizeBytes;
  live_bytes -= *reinterpret_cast<std::size_t*>(block);
  std::free(block);
}

void operator delete(void* pointer, std::size_t /*size*/) noexcept { operator delete(pointer); }
