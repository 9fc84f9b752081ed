// Types of image.js for this model, written by triport.
import type { Model, Tensor } from "./index.js";

/** The inputs that hold images. */
export interface ImageInputs {
$inputs
}

/** RGBA bytes, row by row: what ImageData is, and what a decoder gives in Node. */
export interface Pixels {
  data: Uint8Array | Uint8ClampedArray;
  width: number;
  height: number;
}

export type Picture =
  | Pixels
  | Blob
  | HTMLImageElement
  | HTMLCanvasElement
  | HTMLVideoElement
  | OffscreenCanvas
  | ImageBitmap
  | VideoFrame;

/** What the model does not declare (model.meta.images), or something else than it does. */
export interface ImageOptions {
  /** Height and width to resize to. Default: the input's own; where those are free, the picture's. */
  size?: readonly [number, number];
  /** What pixels of 0 and of 255 become; [1, 0] inverts. Has to be given where the model declares none. */
  range?: readonly [number, number];
  /** Subtracted after that: one number, or one a channel. */
  mean?: number | readonly number[];
  /** Divided by after that: one number, or one a channel. */
  std?: number | readonly number[];
  channels?: "grey" | "rgb" | "bgr" | "rgba";
  resize?: "bilinear" | "bicubic" | "nearest";
  /** Resize to this shorter side, then cut `size` out of the middle. */
  shorter_side?: number;
  /** Red, green and blue under transparent pixels, 0 to 255. */
  background?: readonly [number, number, number];
}

/** The tensor of a picture, or of several as one batch. TypeError for what is no picture and for options that do not fit. */
export function fromImage<I extends keyof ImageInputs = keyof ImageInputs>(
  model: Pick<Model, "meta">,
  source: Picture | readonly Picture[],
  options?: ImageOptions & { input?: I },
): Promise<ImageInputs[I]>;
