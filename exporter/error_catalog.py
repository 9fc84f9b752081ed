"""What each error code means: the texts behind ``triport explain``.

Numbers are grouped: TP0xx arguments and arrays, TP1xx what a port cannot express, TP2xx capture, TP3xx the machine
around the model, TP4xx files, TP5xx checks that failed. A number is never reused for something else.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One code: a title of a few words and a paragraph that says how it comes about and what to do."""

    title: str
    explanation: str


CATALOG: dict[str, Entry] = {
    "TP001": Entry(
        "wrong argument",
        "An argument has a value that is not accepted. The message names the argument, what is accepted and what "
        "was given.",
    ),
    "TP002": Entry(
        "wrong shape",
        "An array or a layer input has a shape that does not fit. Shapes are compared before anything runs, and "
        "nothing is broadcast silently: a loss between [batch, 1] and [batch] would otherwise compute a [batch, "
        "batch] table and train on it.",
    ),
    "TP003": Entry(
        "wrong dtype",
        "An array has a dtype that does not fit the input it was passed to. Convert it explicitly, for example "
        "x.astype('float32').",
    ),
    "TP004": Entry(
        "wrong input name",
        "A named input is missing or unknown. `triport inspect FILE` lists the names that exist.",
    ),
    "TP005": Entry(
        "an option that would be ignored",
        "Two options contradict each other, or one means nothing for the ports that are asked for. Nothing is "
        "ignored silently: leave it out.",
    ),
    "TP006": Entry(
        "another model",
        "An export folder is verified against the model it was exported from: triport.json holds the SHA-256 of "
        "that graph, and the one given has another. Any change of a weight, a name or a sample makes another model.",
    ),
    "TP007": Entry(
        "no image to turn",
        "Images can be taken as [batch, height, width, channels] where the model takes [batch, channels, height, "
        "width] and a convolution, a pool or a resize reads them. No input of this model is such an image. Leave the "
        "option out.",
    ),
    "TP008": Entry(
        "a file or folder of another kind",
        "A model is read from a .triport file or a .pt2 file. What was given is something else that is known here: an "
        "export folder, a browser bundle, an .onnx or .tflite file. The help line says which command takes it; triport "
        "writes such files and does not read models from them.",
    ),
    "TP009": Entry(
        "the output folder holds something else",
        "An export writes one folder and replaces in it what an earlier export wrote, and nothing else. A file or a "
        "folder of somebody else's in one of these places is left alone, and nothing is written: choose another "
        "folder with -o, or move what is there.",
    ),
    "TP010": Entry(
        "an argument of a layer, a model or of training",
        "A constructor, compile or fit received a value it has no meaning for. The message names the argument, what"
        " is accepted and what was given; the line is where the layer was made or the call was written.",
    ),
    "TP011": Entry(
        "a layer does not fit its input",
        "The input has another rank, another number of channels or another size than this layer accepts or was "
        "built for. Shapes are [batch, height, width, channels] for images and [batch, steps, channels] for "
        "sequences, as in Keras.",
    ),
    "TP012": Entry(
        "a name",
        "Names of layers have to be unique in a model and must not contain '.' or '/', because weights are stored "
        "as <layer>.<weight>. model.summary() lists the names there are.",
    ),
    "TP013": Entry(
        "the model is not built",
        "Weights are made when the input's shape is known. Put tp.Input(shape) first, give the first layer "
        "input_shape=, or call fit or the model on data once.",
    ),
    "TP014": Entry(
        "the model is not compiled",
        "fit and evaluate need a loss and an optimizer: call model.compile(optimizer=..., loss=...) first.",
    ),
    "TP015": Entry(
        "this cannot be written into a file",
        "Files hold data and never code, so functions of your own, Lambda layers and torch modules inside a model "
        "cannot be described in one. The model can be trained, captured and exported; only load_model for further "
        "training needs the description.",
    ),
    "TP016": Entry(
        "unknown name",
        "No activation, loss, metric, optimizer, initializer or regularizer has this name. The help line lists "
        "those there are.",
    ),
    "TP017": Entry(
        "the data does not fit the training",
        "Arrays of different lengths, no samples at all, class numbers that the output has no place for, or a "
        "figure that was asked for and is not computed. The message says which.",
    ),
    "TP050": Entry(
        "an argument of quantization",
        "quantize received a scheme, an observer or an option that it has no meaning for. The message lists what is "
        "accepted; docs/quantization.md says what each means.",
    ),
    "TP051": Entry(
        "calibration data that cannot be used",
        "The ranges of an int8 model are read off real samples. They have to be there, be numbers, differ from one "
        "another, and be preprocessed as the model takes them. Where the loss of accuracy is bounded, "
        "labels have to be classes of the model's first output, counted from 0.",
    ),
    "TP052": Entry(
        "a plan that does not hold",
        "A quantization plan names every node and the scale of every value that is held as codes. It is for one graph, "
        "and values that a move or a sum ties together need one scale and zero point.",
    ),
    "TP053": Entry(
        "no quantization plan",
        "The file is not the JSON that `triport quantize --plan-out` writes, or of another version, or an entry was "
        "edited into something that no plan has. The message names the entry and what may stand there.",
    ),
    "TP055": Entry(
        "accuracy cannot be kept",
        "quantize was given the most that accuracy may drop, and not even with every layer kept float is the drop "
        "that small: the measure is too coarse for it, or the bound negative.",
    ),
    "TP054": Entry(
        "a graph that is quantized already",
        "Codes cannot be quantized once more. Quantize the float graph, with other options.",
    ),
    "TP040": Entry(
        "a model description cannot be read",
        "The description of the model in a file names a layer that does not exist here, or arguments it does not "
        "take. The file is damaged, or was written by a newer version.",
    ),
    "TP101": Entry(
        "no spelling on this port",
        "The file format of a port has no operator for this layer, and it cannot be put together from those it has."
        " Replace the layer, or export to the ports that have it with --to. Nothing was written.",
    ),
    "TP102": Entry(
        "a form the port does not have",
        "The port has the operator, but not in this form: a rank, a dilation, a weight that is computed while the "
        "model runs. The message says which form it takes. Change the layer, or export to the other ports with "
        "--to. Nothing was written.",
    ),
    "TP103": Entry(
        "a window the port does not slide",
        "The kernels of the port slide windows over two axes (one axis is written as two), and pool without "
        "dilation. A window over three axes, or a dilated pooling window, has no kernel there. Change the layer, or"
        " export to the ports that have it, for example triport export model.triport --to onnx. Nothing was "
        "written.",
    ),
    "TP104": Entry(
        "a free size where the port needs a number",
        "Sizes named in dynamic= stay open in the written file, as far as its operators allow. Here a port needs to"
        " know the number, or how it follows from the sizes of the inputs. Leave that size out of dynamic=, or "
        "slice and resize by whole numbers.",
    ),
    "TP105": Entry(
        "dtype not on the device",
        "The kernels of the port do not compute in this dtype. TFLite takes float32, int8, uint8, int16, int32 and "
        "bool, browsers the same without int16; int64 becomes int32 on both, so constants and examples must fit. Cast "
        "in the model, for example x.float() or x.int(). docs/dtypes.md has the table.",
    ),
    "TP106": Entry(
        "too large for the file format",
        "A .tflite file is addressed with 31 bits and holds at most 2.1 GB, and a page has 4 GiB of memory. Use a "
        "smaller model, or export it to ONNX, which keeps large weights beside the file. The size is checked before "
        "any work is done.",
    ),
    "TP107": Entry(
        "codes that the port would round in its own way",
        "A quantized layer gives the same integers on every port only with scales that each of them computes exactly "
        "with. This layer has others: its scales lie too far apart, its products are no multiples of a power of two, "
        "or it clamps half way between two codes. Quantize the model again with triport quantize, which chooses "
        "scales that fit, or keep this layer in float32. Nothing was written.",
    ),
    "TP130": Entry(
        "NaN or infinity in the weights",
        "A weight is not a number any more, usually because training diverged. Every answer of the model would be "
        "NaN on every port, so nothing is written. Train again with a smaller learning rate or clipped gradients.",
    ),
    "TP201": Entry(
        "operands do not fit an op",
        "The shapes or dtypes of an op's operands contradict its definition. In a captured model this points at a "
        "defect; in a graph built by hand the message says which operand is wrong.",
    ),
    "TP202": Entry(
        "torch op without a meaning here",
        "The model calls a torch op, or a form of one, that the portable graph cannot express. The message lists "
        "each such op with the layer and line that calls it; docs/torch-coverage.md lists what can.",
    ),
    "TP203": Entry(
        "a number depends on a free dimension",
        "A window, a start or an amount of padding must be known when the model is captured, but the model computes"
        " it from a dimension that was left free. Fix that dimension (leave it out of dynamic=), or make the number"
        " a constant.",
    ),
    "TP204": Entry(
        "statistics of the batch",
        "A normalisation layer keeps a running mean of the batches it is given, so every call would change the answer "
        "to the next. Capture in eval mode, with F.batch_norm(…, training=self.training), or keep no running mean.",
    ),
    "TP205": Entry(
        "a free dimension is fixed by the model",
        "A dimension that was to stay free has one size only in this model: it is compared with a constant, "
        "reshaped into one, or added to a tensor of fixed size. Leave it out of dynamic=, or change the line the "
        "message names.",
    ),
    "TP206": Entry(
        "shapes or branches depend on the data",
        "What the model computes depends on the values of its input, not only on their shapes. A graph has no such "
        "branches: use torch.where, masks that multiply, or fixed sizes.",
    ),
    "TP207": Entry(
        "torch.export cannot trace the model",
        "torch.export stopped with the error given. Run the module once in eager mode with the same example inputs:"
        " if that fails too, the inputs do not fit; if it works, the model uses Python that cannot be traced.",
    ),
    "TP208": Entry(
        "the model returns something that is not a tensor",
        "A graph returns tensors. Tuples, lists, dicts and dataclasses of tensors are flattened, and None in them is "
        "left out with a notice; numbers, strings and other objects are refused. docs/capture.md says more.",
    ),
    "TP209": Entry(
        "dtype that no port has",
        "Ports compute in float32, integers and booleans. float64, bfloat16 and float16 become float32 with a notice; "
        "complex, sparse and quantized tensors have to be rewritten, and weights must hold numbers (not lie on the "
        "device meta).",
    ),
    "TP210": Entry(
        "shape rule disagrees with torch",
        "The graph's shape rule gave another shape or dtype than torch did. This is a defect of triport.",
    ),
    "TP211": Entry(
        "the captured graph answers differently",
        "After capturing, the graph is run by its reference on the example inputs and compared with the module "
        "itself in eager mode. They must agree within float32's own error; here they did not, so nothing is "
        "returned.",
    ),
    "TP212": Entry(
        "the answer depends on earlier calls",
        "The model writes into a buffer or a parameter of its own and reads it again, so the same inputs give other"
        " outputs the next time. Make that state an input and an output of the model, or leave it alone in eval "
        "mode.",
    ),
    "TP213": Entry(
        "the model fails on the example inputs",
        "Before anything is captured the module is called on the examples in eval mode, and it raised the error "
        "given. Shapes, dtypes or the order of the inputs do not fit; the message says what it was called with.",
    ),
    "TP214": Entry(
        "the model needs float64",
        "Ports compute in float32. The model computes in float64, and in float32 its answers differ by more than a "
        "thousandth of their range, or whole numbers come out otherwise. Keep large numbers small, for example by "
        "subtracting an offset, until module.float() answers the same.",
    ),
    "TP310": Entry(
        "a runtime is not installed",
        "The runtime that would run an artefact here is missing. The help line installs it; `triport doctor` lists "
        "all of them. Converting needs none: `triport export --no-verify` writes the files without running them.",
    ),
    "TP311": Entry(
        "the output folder cannot be written",
        "Files are written into a hidden folder inside the output folder and renamed into place at the end. The "
        "system refused one of these steps; whatever was in the folder before is as it was.",
    ),
    "TP312": Entry(
        "the disk is full",
        "There was no room for the artefacts. Nothing that was there before has been touched, and the part already "
        "written is removed.",
    ),
    "TP313": Entry(
        "a port was not verified",
        "With --strict-verify every port must have run in its runtime here. Install the runtime that the message "
        "names, or leave the flag out.",
    ),
    "TP314": Entry(
        "the browser does not start",
        "A browser was found and opened no page. Try it by hand with --headless; set CHROME=/path/to/another one, "
        "or check in Node instead.",
    ),
    "TP340": Entry(
        "a file cannot be read",
        "The file exists, but the system refuses to read it: missing permission, a folder in its place, or a "
        "failing disk. The message carries the system's own words.",
    ),
    "TP341": Entry(
        "a file cannot be written",
        "The folder is missing or write-protected, or the disk is full. Files are written beside their target and "
        "renamed when they are complete, so whatever stood there before is unchanged. Free space or choose another "
        "folder.",
    ),
    "TP400": Entry(
        "not a .triport file, or cut short",
        "The file is no safetensors file, carries no triport graph, or ends before its header says it does. Compare"
        " its size with the original's: a download or copy that was interrupted is the usual cause. docs/format.md "
        "specifies the format.",
    ),
    "TP401": Entry(
        "another version of the format",
        "The file was written for another version of the format than this triport reads. The message names both, "
        "and the program that wrote the file; install that version of triport or a newer one.",
    ),
    "TP402": Entry(
        "malformed dimension",
        "A symbolic size in a file must be an expression of names and whole numbers such as batch*49+1, in the one "
        "spelling that triport writes. Any other text means that the file was damaged or written by something else.",
    ),
    "TP403": Entry(
        "malformed document",
        "The JSON in the file's header is not what docs/format.md specifies: no JSON, a key that is missing, "
        "unknown or given twice, or a value of the wrong type. The message says where.",
    ),
    "TP404": Entry(
        "unknown op or attributes",
        "The file uses an op that this triport does not have, or gives an op values that it rejects. Newer versions"
        " add ops: upgrade triport, or write the file again. A model whose arithmetic on codes is that of another "
        "version has to be quantized again, from the float model.",
    ),
    "TP405": Entry(
        "inconsistent graph",
        "The parts of the graph in the file contradict each other: a name that is used twice, a value that nothing "
        "computes, a shape that does not follow from the op. triport writes no such files; this one was damaged or "
        "edited.",
    ),
    "TP406": Entry(
        "tensors do not fit the file",
        "The table of tensors does not match the data: a size that shape and dtype do not give, an overlap, a hole,"
        " bytes beyond the end, or a tensor that is missing. Sizes are compared with the file's length before any "
        "memory is taken.",
    ),
    "TP407": Entry(
        "damaged bytes",
        "A CRC-32 stored in the file does not match the bytes that were read, so at least one bit has changed since"
        " it was written. Copy or download the file again, or restore it from a backup.",
    ),
    "TP408": Entry(
        "labels or preprocessing that are none",
        "Labels and preprocessing travel in a file's metadata, by the names of outputs and inputs, and are compared "
        "with them when they are used. These fit no output or input of the graph, or are not what docs/format.md says. "
        "Set them anew: graph.describe(labels=..., preprocessing=...).",
    ),
    "TP410": Entry(
        "not a .tflite file",
        "The file does not begin like a TensorFlow Lite model: bytes 4 to 7 must read TFL3. It is another kind of "
        "file, or the download was cut short.",
    ),
    "TP411": Entry(
        "damaged .tflite file",
        "An offset, a length or an index inside the file leads out of it, or the tables contradict each other. "
        "Every offset is checked before it is followed. Copy or export the file again.",
    ),
    "TP420": Entry(
        "damaged export folder",
        "triport.json is missing from an export folder, or is not what docs/export-folder.md says. Export the model"
        " again, or name the folder that `triport export -o` was given.",
    ),
    "TP421": Entry(
        "an artefact was changed",
        "triport.json holds the SHA-256 of every file of an export. One is missing or is another file now: a copy "
        "that broke off, or an edit.",
    ),
    "TP422": Entry(
        "not an .npz file of plain arrays",
        "Samples are read from .npz files as numpy.savez writes them: one array for each input, under the input's "
        "name. Arrays of Python objects are refused, because reading them runs code.",
    ),
    "TP423": Entry(
        "unknown or damaged file",
        "The file is of no kind that triport reads, or is damaged where the message says.",
    ),
    "TP430": Entry(
        "no usable .pt2 file",
        "The file is not a program that torch.export.save wrote: it is cut short, damaged, or of another kind. Save it "
        "again with torch.export.save(program, path).",
    ),
    "TP431": Entry(
        "a saved program calls something that is no ATen op",
        "A .pt2 file names the functions that the program calls. Only torch's own tensor ops and arithmetic on sizes "
        "are called here; custom ops and higher-order ops (cond, while_loop) have no meaning in the portable graph.",
    ),
    "TP432": Entry(
        "a saved program that could run code",
        "Opening the file would run code that it carries: pickled Python objects, compiled code, or sizes that are "
        "more than arithmetic. It is refused before it is opened. Export the module again where you trust it.",
    ),
    "TP500": Entry(
        "a port answers differently",
        "The artefact was loaded in its real runtime and its values differ from the reference by more than the "
        "bound: for float32 the larger of 1e-5 of the output's range and four times torch's own float32 error. The "
        "report names the first node that differs.",
    ),
    "TP501": Entry(
        "a port gives another shape",
        "An output has a shape other than the graph says. This is a defect of the artefact, not a matter of tolerance.",
    ),
    "TP502": Entry(
        "a port gives another dtype",
        "An output has a dtype other than the graph says. Only int64 → int32 is allowed, on ports that have no "
        "64-bit integers at their border.",
    ),
    "TP503": Entry(
        "NaN or infinity",
        "An output is not finite where the reference is, or the other way round. Where the reference itself is not "
        "finite, the message names the first layer that makes it so: look at its weights, or at the input's range.",
    ),
    "TP504": Entry(
        "a runtime refuses an artefact",
        "The file does not load in the runtime named. Either it is damaged, or it needs a newer runtime: `triport "
        "inspect FILE` says which.",
    ),
    "TP505": Entry(
        "a runtime failed while running",
        "The artefact loaded and then stopped with the error given.",
    ),
    "TP506": Entry(
        "a second run answers differently",
        "The same inputs gave other outputs the second time: state leaks from one run into the next.",
    ),
    "TP507": Entry(
        "an export failed its verification",
        "At least one port answers differently from the model, so none was put into place: what the folder held "
        "before is as it was. The artefacts and the report, which names the port, the output and the first node "
        "that differs, lie in the sub-folder failed/.",
    ),
}
