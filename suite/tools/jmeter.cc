// suite/tools/jmeter.cc: one JMeter process for the whole load; each stage is a thread group that begins when the one
// before ends.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "suite/markup.h"
#include "suite/tool.h"

namespace camprobe::suite {
namespace {

std::string sampler(const Request& request) {
  std::string text = fmt::format(
      R"(<HTTPSamplerProxy guiclass="HttpTestSampleGui" testclass="HTTPSamplerProxy" testname="{0} {1}" enabled="true">
<boolProp name="HTTPSampler.postBodyRaw">true</boolProp>
<elementProp name="HTTPsampler.Arguments" elementType="Arguments"><collectionProp name="Arguments.arguments">)",
      request.method, with_entities(request.path));
  if (!request.body.empty())
    text += fmt::format(
        R"(<elementProp name="" elementType="HTTPArgument"><boolProp name="HTTPArgument.always_encode">false</boolProp><stringProp name="Argument.value">{}</stringProp><stringProp name="Argument.metadata">=</stringProp></elementProp>)",
        with_entities(request.body));
  text += fmt::format(
      R"(</collectionProp></elementProp>
<stringProp name="HTTPSampler.path">{}</stringProp><stringProp name="HTTPSampler.method">{}</stringProp>
<boolProp name="HTTPSampler.use_keepalive">true</boolProp></HTTPSamplerProxy><hashTree>)",
      with_entities(request.path), request.method);
  if (!request.headers.empty()) {
    text +=
        R"(<HeaderManager guiclass="HeaderPanel" testclass="HeaderManager" testname="headers" enabled="true"><collectionProp name="HeaderManager.headers">)";
    for (const auto& [name, value] : request.headers)
      text += fmt::format(
          R"(<elementProp name="" elementType="Header"><stringProp name="Header.name">{}</stringProp><stringProp name="Header.value">{}</stringProp></elementProp>)",
          with_entities(name), with_entities(value));
    text += "</collectionProp></HeaderManager><hashTree/>";
  }
  return text + "</hashTree>\n";
}

std::string plan_of(const Work& work) {
  const std::string address = work.base.substr(work.base.find("://") + 3);
  const std::string host = address.substr(0, address.rfind(':')), port = address.substr(address.rfind(':') + 1);
  std::string text = fmt::format(
      R"(<?xml version="1.0" encoding="UTF-8"?>
<jmeterTestPlan version="1.2" properties="5.0"><hashTree>
<TestPlan guiclass="TestPlanGui" testclass="TestPlan" testname="suite" enabled="true"/><hashTree>
<ConfigTestElement guiclass="HttpDefaultsGui" testclass="ConfigTestElement" testname="base" enabled="true">
<elementProp name="HTTPsampler.Arguments" elementType="Arguments"><collectionProp name="Arguments.arguments"/></elementProp>
<stringProp name="HTTPSampler.domain">{}</stringProp><stringProp name="HTTPSampler.port">{}</stringProp></ConfigTestElement><hashTree/>
)",
      with_entities(host), with_entities(port));
  double at = 0;
  for (const Stage& stage : work.stages) {
    const long delay = std::lround(at), seconds = std::max(1L, std::lround(stage.duration_s));
    at += static_cast<double>(seconds);
    if (stage.users == 0) continue;
    const long ramp = stage.users_from == stage.users ? 0 : seconds;
    text += fmt::format(
        R"(<ThreadGroup guiclass="ThreadGroupGui" testclass="ThreadGroup" testname="{}" enabled="true">
<stringProp name="ThreadGroup.on_sample_error">continue</stringProp>
<elementProp name="ThreadGroup.main_controller" elementType="LoopController"><boolProp name="LoopController.continue_forever">false</boolProp><intProp name="LoopController.loops">-1</intProp></elementProp>
<stringProp name="ThreadGroup.num_threads">{}</stringProp><stringProp name="ThreadGroup.ramp_time">{}</stringProp>
<boolProp name="ThreadGroup.scheduler">true</boolProp><stringProp name="ThreadGroup.duration">{}</stringProp><stringProp name="ThreadGroup.delay">{}</stringProp></ThreadGroup><hashTree>
)",
        with_entities(stage.phase), stage.users, ramp, seconds, delay);
    if (stage.rate)
      text += fmt::format(
          R"(<ConstantThroughputTimer guiclass="TestBeanGUI" testclass="ConstantThroughputTimer" testname="rate" enabled="true">
<intProp name="calcMode">2</intProp><doubleProp><name>throughput</name><value>{}</value><savedValue>0.0</savedValue></doubleProp></ConstantThroughputTimer><hashTree/>
)",
          number_text(*stage.rate * 60));
    for (const Request& request : in_turn(work.requests)) text += sampler(request);
    text += "</hashTree>\n";
  }
  return text + "</hashTree></hashTree></jmeterTestPlan>\n";
}

run::Result<Translation> translate(const Work& work) {
  Translation out;
  Invocation one;
  std::string plan = work.file;
  if (plan.empty()) {
    plan = work.directory + "/jmeter.jmx";
    one.files.emplace_back(plan, plan_of(work));
  } else {
    out.notes.emplace_back("JMeter runs the plan as it is; its thread groups are the plan's own");
  }
  one.results = work.directory + "/jmeter.jtl";
  one.arguments = {"-n",
                   "-t",
                   plan,
                   "-l",
                   one.results,
                   "-j",
                   work.directory + "/jmeter.log",
                   "-Jjmeter.save.saveservice.output_format=csv",
                   "-Jjmeter.save.saveservice.print_field_names=true",
                   "-Jjmeter.save.saveservice.timestamp_format=ms"};
  one.cpus = std::max(1, work.threads);
  out.notes.emplace_back(
      "a JMeter thread waits for its answer: latencies count from when a request was sent (coordinated omission); a "
      "ramp of "
      "rate is held at its end's rate");
  out.steps.push_back({0, work.stages.size() - 1, {std::move(one)}});
  return out;
}

// XStream since 1.4.18 makes only objects of classes it was told of; Debian's JMeter 2.13 tells it of none.
std::string explain(std::string_view said) {
  if (said.find("ForbiddenClassException") == std::string_view::npos) return "";
  return "this JMeter can read no plan at all, because its XStream is newer than it: take one from jmeter.apache.org";
}

}  // namespace

const Tool kJmeterTool = {"jmeter",
                          "jmeter",
                          "from jmeter.apache.org (Debian's needs jmeter-http, and reads no plan with its XStream)",
                          {"--version", "-j", "/dev/null"},
                          true,
                          true,
                          translate,
                          explain};

}  // namespace camprobe::suite
