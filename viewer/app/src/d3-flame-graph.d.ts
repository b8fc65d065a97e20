// The part of d3-flame-graph 5 this page uses; the package carries no types of its own.
declare module 'd3-flame-graph' {
  import type { Selection } from 'd3-selection';

  export interface FlameDatum {
    name: string;
    value: number;
    children: FlameDatum[];
    node: number;
    hide?: boolean;
    fade?: boolean;
  }
  export interface FlameNode {
    data: FlameDatum;
    parent: FlameNode | null;
    children?: FlameNode[];
    depth: number;
    value: number;
    x0: number;
    x1: number;
  }
  export interface FlameTooltip {
    (): void;
    show(event: MouseEvent, d: FlameNode): void;
    hide(): void;
    destroy(): void;
  }
  export interface FlameGraph {
    (selection: Selection<HTMLElement, FlameDatum, null, undefined>): void;
    width(px: number): this;
    cellHeight(px: number): this;
    minFrameSize(px: number): this;
    transitionDuration(ms: number): this;
    inverted(on: boolean): this;
    sort(order: (a: FlameNode, b: FlameNode) => number): this;
    tooltip(tooltip: FlameTooltip): this;
    setColorMapper(mapper: (d: FlameNode, original: string) => string): this;
    getName(name: (d: FlameNode) => string): this;
    onClick(handler: (d: FlameNode) => void): this;
    resetHeightOnZoom(on: boolean): this;
    resetZoom(): void;
    zoomTo(d: FlameNode): void;
    update(): this;
    destroy(): this;
  }
  export default function flamegraph(): FlameGraph;
}
