// tests/sampler/unwind_cfi_test.cc
//
// The parts of the walker by themselves: rows out of this program's own .eh_frame, their 64-bit form, and the cache.
#include "sampler/unwind_cfi.h"

#include <gtest/gtest.h>
#include <sys/auxv.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "sampler/unwind_cache.h"
#include "sampler/unwind_expression.h"
#include "sampler/unwind_modules.h"
#include "sampler/unwind_rule.h"

namespace camprobe::sampler {
namespace {

// One function whose rows are known by construction, instruction by instruction.
asm(R"(
  .text
  .globl camprobe_test_rows
  .hidden camprobe_test_rows
  .type camprobe_test_rows, @function
camprobe_test_rows:
  .cfi_startproc
  nop                                      # +0: CFA = rsp + 8
  .cfi_def_cfa_offset 24
  .cfi_offset 3, -24
  .cfi_remember_state
  nop                                      # +1: CFA = rsp + 24, rbx at CFA - 24
  .cfi_def_cfa 6, 16
  .cfi_offset 6, -16
  nop                                      # +2: CFA = rbp + 16, rbp at CFA - 16
  .cfi_restore_state
  nop                                      # +3: as +1
  .cfi_escape 0x0f, 3, 0x77, 8, 0x06       # def_cfa_expression: breg7 8; deref
  nop                                      # +4: CFA is stored at rsp + 8
  .cfi_def_cfa 7, 8
  .cfi_offset 12, -1024
  nop                                      # +5: r12 too far away for 64 bits
  .cfi_restore 12
  .cfi_undefined 16
  nop                                      # +6: nobody called
  .cfi_endproc
  .size camprobe_test_rows, .-camprobe_test_rows
)");
extern "C" const char camprobe_test_rows[];

class UnwindCfiTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { start_modules(); }

  // The rule at that offset into the function above.
  static Rule rule_at(unsigned offset) {
    const std::uintptr_t pc = reinterpret_cast<std::uintptr_t>(camprobe_test_rows) + offset;
    Module module;
    EXPECT_TRUE(find_module(pc, &module));
    Row row;
    EXPECT_EQ(find_row(image_of(module), module.eh_frame_header, pc, &row), RowStatus::found);
    return pack(row, pc);
  }
};

TEST_F(UnwindCfiTest, ReadsEachInstructionsOwnRow) {
  EXPECT_EQ(rule_at(0).kind(), RuleKind::kCall);
  EXPECT_EQ(rule_at(0).cfa_register(), kRsp);
  EXPECT_EQ(rule_at(0).cfa_offset(), 8);
  EXPECT_FALSE(rule_at(0).saves_anything());

  EXPECT_EQ(rule_at(1).cfa_offset(), 24);
  EXPECT_EQ(rule_at(1).saved_word(1), 3u);
  EXPECT_EQ(rule_at(1).saved_word(0), 0u);

  EXPECT_EQ(rule_at(2).cfa_register(), kRbp);
  EXPECT_EQ(rule_at(2).cfa_offset(), 16);
  EXPECT_EQ(rule_at(2).saved_word(0), 2u);

  EXPECT_EQ(rule_at(3).bits(), rule_at(1).bits());

  EXPECT_EQ(rule_at(4).kind(), RuleKind::kCallRealigned);
  EXPECT_EQ(rule_at(4).cfa_register(), kRsp);
  EXPECT_EQ(rule_at(4).cfa_offset(), 8);

  EXPECT_EQ(rule_at(5).kind(), RuleKind::kFull);
  EXPECT_EQ(rule_at(6).kind(), RuleKind::kRoot);
}

TEST_F(UnwindCfiTest, StepsByARowThatSixtyFourBitsCannotHold) {
  const std::uintptr_t pc = reinterpret_cast<std::uintptr_t>(camprobe_test_rows) + 5;
  Module module;
  ASSERT_TRUE(find_module(pc, &module));
  Row row;
  ASSERT_EQ(find_row(image_of(module), module.eh_frame_header, pc, &row), RowStatus::found);
  std::vector<std::uint64_t> stack(256);
  const auto base = reinterpret_cast<std::uintptr_t>(stack.data());
  const std::uintptr_t sp = base + 8 * 200;
  stack[200] = 0x1234567;     // the return address, at CFA - 8
  stack[201 - 128] = 0xabcd;  // r12, at CFA - 1024
  stack[201 - 3] = 0xef;      // rbx, at CFA - 24
  Registers registers{};
  registers.known = Registers::kAll;
  registers.value[kRsp] = sp;
  registers.value[kReturnAddress] = pc;
  StackMemory memory({0, 0}, sp);
  ASSERT_TRUE(step_by_row(row, &registers, &memory));
  EXPECT_EQ(registers.value[kRsp], sp + 8);
  EXPECT_EQ(registers.value[kReturnAddress], 0x1234567u);
  EXPECT_EQ(registers.value[kR12], 0xabcdu);
  EXPECT_EQ(registers.value[kRbx], 0xefu);
  EXPECT_EQ(registers.known & (1u << kR10), 0u) << "a call does not preserve r10";
}

TEST_F(UnwindCfiTest, KeepsNearlyEveryRowOfTheCLibraryInSixtyFourBits) {
  const std::uintptr_t inside = reinterpret_cast<std::uintptr_t>(&::printf);
  Module module;
  ASSERT_TRUE(find_module(inside, &module));
  const Image image = image_of(module);
  unsigned found = 0;
  unsigned full = 0;
  for (std::uintptr_t pc = module.low; pc < module.high; pc += 37) {
    Row row;
    if (find_row(image, module.eh_frame_header, pc, &row) != RowStatus::found) continue;
    ++found;
    full += pack(row, pc).kind() == RuleKind::kFull;
  }
  EXPECT_GT(found, 10'000u);
  EXPECT_LT(full, found / 500);
}

TEST_F(UnwindCfiTest, TurnsAPltStubsExpressionIntoANumber) {
  // DW_OP_breg7 8; breg16 0; lit15; and; lit11; ge; lit3; shl; plus: what linkers write for .plt.
  static constexpr std::uint8_t kPlt[] = {0x77, 0x08, 0x80, 0x00, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22};
  const Expression plt{kPlt, sizeof(kPlt)};
  const ExpressionValue zero{ExpressionValue::kNumber, 0, 0};
  for (unsigned at = 0; at < 16; ++at) {
    const ExpressionValue value = evaluate(plt, zero, 0x401020 + at, nullptr, nullptr);
    EXPECT_EQ(value.form, ExpressionValue::kRegisterPlus);
    EXPECT_EQ(value.reg, kRsp);
    EXPECT_EQ(value.number, at >= 11 ? 16u : 8u);
  }
}

TEST_F(UnwindCfiTest, KnowsTheProgramsFirstFunction) {
  const std::uintptr_t entry = getauxval(AT_ENTRY);
  EXPECT_TRUE(is_program_entry(entry));
  EXPECT_TRUE(is_program_entry(entry + 33));  // where its one call returns to
  EXPECT_FALSE(is_program_entry(entry - 1));
  EXPECT_FALSE(is_program_entry(reinterpret_cast<std::uintptr_t>(&::printf)));
}

TEST_F(UnwindCfiTest, GivesUpOnAnExpressionThatNeverEnds) {
  static constexpr std::uint8_t kLoop[] = {0x96, 0x2f, 0xfc, 0xff};  // nop; skip -4
  const ExpressionValue zero{ExpressionValue::kNumber, 0, 0};
  EXPECT_EQ(evaluate({kLoop, sizeof(kLoop)}, zero, 0, nullptr, nullptr).form, ExpressionValue::kUnsupported);
}

TEST_F(UnwindCfiTest, ReadsTheFuzzersSeeds) {
  const std::map<std::string, RuleKind> expected = {
      {"leaf", RuleKind::kCall},      {"push", RuleKind::kCall},
      {"plt", RuleKind::kCall},       {"realigned", RuleKind::kCallRealigned},
      {"signal", RuleKind::kSignal},  {"root", RuleKind::kRoot},
      {"registers", RuleKind::kFull}, {"arithmetic", RuleKind::kCall}};
  for (const auto& [name, kind] : expected) {
    std::ifstream file(std::string(CAMPROBE_SOURCE_DIR "/tests/sampler/unwind_corpus/") + name, std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    ASSERT_GT(bytes.size(), 150u) << name;
    std::int32_t offset;
    std::memcpy(&offset, bytes.data(), sizeof(offset));
    const std::uintptr_t header = reinterpret_cast<std::uintptr_t>(bytes.data()) + 8;
    const Image image{{{header, header + bytes.size() - 8}}, 1};
    Row row;
    ASSERT_EQ(find_row(image, header, header + static_cast<std::uintptr_t>(offset), &row), RowStatus::found) << name;
    EXPECT_EQ(pack(row, header).kind(), kind) << name;
  }
}

// The cache.

TEST(RuleCacheTest, FindsWhatWasKeptAndNothingElse) {
  const auto cache = std::make_unique<RuleCache<6>>();
  const Generation now = generation_of(0);
  EXPECT_EQ(cache->find(0x401000, now).kind(), RuleKind::kUnknown);
  cache->keep(0x401000, now, Rule(RuleKind::kRoot));
  EXPECT_EQ(cache->find(0x401000, now).kind(), RuleKind::kRoot);
  EXPECT_EQ(cache->find(0x401001, now).kind(), RuleKind::kUnknown);
  EXPECT_EQ(cache->find(0x401000, generation_of(1)).kind(), RuleKind::kUnknown);
}

TEST(RuleCacheTest, KeepsTheTwoNewestOfOnePlace) {
  using Cache = RuleCache<6>;
  const auto cache = std::make_unique<Cache>();
  const Generation now = generation_of(0);
  std::vector<std::uintptr_t> same;
  for (std::uintptr_t pc = 0x401000; same.size() < 3; ++pc) {
    if (Cache::place_of(pc, now) == Cache::place_of(0x401000, now)) same.push_back(pc);
  }
  for (std::uintptr_t pc : same) cache->keep(pc, now, Rule(pc << 8 | 1));
  EXPECT_EQ(cache->find(same[0], now).kind(), RuleKind::kUnknown);
  EXPECT_EQ(cache->find(same[1], now).bits(), same[1] << 8 | 1);
  EXPECT_EQ(cache->find(same[2], now).bits(), same[2] << 8 | 1);
}

TEST(RuleCacheTest, NeverMixesTwoEntriesThatAreWrittenAtOnce) {
  // Four places, four threads, thousands of pcs: nearly every write lands on another thread's.
  const auto cache = std::make_unique<RuleCache<3>>();
  std::atomic<unsigned> mixed{0};
  std::atomic<unsigned> hits{0};
  std::vector<std::thread> threads;
  for (unsigned seed = 1; seed <= 4; ++seed) {
    threads.emplace_back([&, seed] {
      std::uint64_t random = seed * 0x9e3779b97f4a7c15;
      unsigned found = 0;
      for (int i = 0; i < 300'000; ++i) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        const std::uintptr_t pc = 0x401000 + random % 64;
        const Generation generation = generation_of(random >> 32 & 1);
        const Rule rule = cache->find(pc, generation);
        if (rule.kind() != RuleKind::kUnknown) {
          ++found;
          if (rule.bits() != (pc << 12 | (random >> 32 & 1) << 8 | 1)) mixed.fetch_add(1);
        } else {
          cache->keep(pc, generation, Rule(pc << 12 | (random >> 32 & 1) << 8 | 1));
        }
      }
      hits.fetch_add(found);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(mixed.load(), 0u);
  EXPECT_GT(hits.load(), 1000u);
}

}  // namespace
}  // namespace camprobe::sampler
