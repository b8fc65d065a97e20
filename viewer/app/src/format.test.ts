// What people read, by example. Run by tests/viewer (esbuild bundles it, node runs it).
import assert from 'node:assert/strict';
import { bytes, count, duration, elapsed, inUnit, label, nanoseconds, number, percent, shortName, shortPath } from './format';

for (const [full, short] of [
  ['void boost::asio::detail::executor_function::complete<boost::asio::detail::binder2<int, std::allocator<void> > >(impl_base*, bool)', 'boost::asio::detail::executor_function::complete'],
  ['operator new(unsigned long)', 'operator new'],
  ['cam::(anonymous namespace)::ProviderCall::start(int)', 'cam::(anonymous namespace)::ProviderCall::start'],
  ['node::Wrap::ReadStart()::{lambda(uv_stream_s*, long)#2}::_FUN(uv_stream_s*, long)', 'node::Wrap::ReadStart::{lambda#2}::_FUN'],
  ['std::ostream& std::operator<< <char>(std::ostream&, char)', 'std::operator<<'],
  ['std::function<void (int)>::operator()(int) const', 'std::function::operator()'],
  ['Foo::operator->() const', 'Foo::operator->'],
  ['non-virtual thunk to node::Parser::OnStreamRead(long)', 'non-virtual thunk to node::Parser::OnStreamRead'],
  ['a < b', 'a < b'],
  ['void boost::work<boost::any<int, boost::…', 'boost::work'],
  ['[kernel] tcp(x)', '[kernel] tcp(x)'],
  ['(anonymous)', '(anonymous)'],
  ['</script><script>window.hacked = 1</script>', '</script><script>window.hacked = 1</script>'],
  ['', ''],
] as const) {
  const got = shortName(full);
  // Hostile names may come out shorter or whole; all that matters is that they stay text and are never empty.
  if (full.includes('script')) assert.ok(got.length > 0);
  else assert.equal(got, short);
}
assert.equal(label('cam::Arbiter::choose(cam::Request const&)', 500), 'cam::Arbiter::choose');
assert.equal(label('cam::Arbiter::choose(cam::Request const&)', 110), 'Arbiter::choose');
assert.equal(label('cam::Arbiter::choose(cam::Request const&)', 20), 'choose');
assert.equal(shortPath('/srv/build/src/cam-server/faults/heap_leak.cc'), '…/faults/heap_leak.cc');
assert.equal(shortPath('src/heap_leak.cc'), 'src/heap_leak.cc');

assert.deepEqual([0, 0.0123, 1.234, 12.34, 1234.5, -5.5].map(number), ['0', '0.0123', '1.23', '12.3', '1,235', '−5.5']);
assert.deepEqual([0, 999, 1024, 1536, 5 * 2 ** 30].map(bytes), ['0 B', '999 B', '1 KiB', '1.5 KiB', '5 GiB']);
assert.deepEqual([0, 42, 1500, 2.5e6, 3e9, 700e9, 7200e9].map(nanoseconds), ['0', '42 ns', '1.5 µs', '2.5 ms', '3 s', '11.7 min', '2 h']);
assert.deepEqual([5, 65, 3723, 93784].map(elapsed), ['0:05', '1:05', '1:02:03', '1d 02:03:04']);
assert.deepEqual([4.14, 59.6, 125, 11400, 187200].map(duration), ['4.14 s', '1 min', '2 min 5 s', '3 h 10 min', '2 d 4 h']);
assert.deepEqual([0, 0.00001, 0.0512, 0.5, 1].map(percent), ['0 %', '< 0.01 %', '5.12 %', '50 %', '100 %']);
assert.deepEqual([12, 123456, 12.5e6].map(count), ['12', '123 k', '12.5 M']);
assert.equal(inUnit(1, 'cores'), '1 core');
assert.equal(inUnit(2048, 'bytes_per_second'), '2 KiB/s');
