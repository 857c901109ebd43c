// The marks of pods: each look has a shape of its own, so that colour only helps.

export const sans = "system-ui, sans-serif";
export const mono = "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace";

/** The colours of the theme that is on, from the style sheet; an element's colour says what `light-dark()` comes to. */
export function palette() {
    const probe = document.body.appendChild(document.createElement("span"));
    const names = [
        "ground", "cell", "line", "ink", "soft", "accent", "differs", "bar", "full", "lost",
        "ready", "starting", "pending", "notready", "crash", "terminating", "failed", "succeeded",
    ];
    const colours = Object.fromEntries(
        names.map((name) => {
            probe.style.color = `var(--${name})`;
            return [name, getComputedStyle(probe).color];
        }),
    );
    probe.remove();
    return colours;
}

/** Draws one mark around a point; `r` is half its size. */
export function drawMark(ctx, look, x, y, r, colours) {
    const colour = colours[look];
    ctx.fillStyle = ctx.strokeStyle = colour;
    ctx.lineWidth = Math.max(1.3, r / 3.2);
    const inner = r - ctx.lineWidth / 2;
    ctx.beginPath();
    switch (look) {
        case "ready":
            ctx.arc(x, y, r, 0, 7);
            ctx.fill();
            break;
        case "starting":
            ctx.arc(x, y, inner, 0, 7);
            ctx.stroke();
            ctx.beginPath();
            ctx.arc(x, y, r / 3, 0, 7);
            ctx.fill();
            break;
        case "pending":
            ctx.setLineDash([r * 0.75, r * 0.55]);
            ctx.arc(x, y, inner, 0, 7);
            ctx.stroke();
            ctx.setLineDash([]);
            break;
        case "notready":
            ctx.arc(x, y, inner, 0, 7);
            ctx.stroke();
            ctx.beginPath();
            ctx.arc(x, y, r, Math.PI / 2, (3 * Math.PI) / 2);
            ctx.fill();
            break;
        case "crash":
            ctx.moveTo(x, y - r * 1.1);
            ctx.lineTo(x + r * 1.1, y + r * 0.9);
            ctx.lineTo(x - r * 1.1, y + r * 0.9);
            ctx.closePath();
            ctx.fill();
            if (r >= 4) {
                ctx.fillStyle = colours.cell;
                ctx.fillRect(x - r / 9, y - r * 0.4, (2 * r) / 9, r * 0.65);
                ctx.fillRect(x - r / 9, y + r * 0.42, (2 * r) / 9, r * 0.24);
            }
            break;
        case "terminating":
            ctx.moveTo(x - inner * 0.8, y - inner * 0.8);
            ctx.lineTo(x + inner * 0.8, y + inner * 0.8);
            ctx.moveTo(x + inner * 0.8, y - inner * 0.8);
            ctx.lineTo(x - inner * 0.8, y + inner * 0.8);
            ctx.stroke();
            break;
        case "failed":
            ctx.fillRect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
            if (r >= 4) {
                ctx.strokeStyle = colours.cell;
                ctx.moveTo(x - r * 0.45, y - r * 0.45);
                ctx.lineTo(x + r * 0.45, y + r * 0.45);
                ctx.moveTo(x + r * 0.45, y - r * 0.45);
                ctx.lineTo(x - r * 0.45, y + r * 0.45);
                ctx.stroke();
            }
            break;
        default:
            ctx.moveTo(x - r * 0.8, y + r * 0.05);
            ctx.lineTo(x - r * 0.2, y + r * 0.65);
            ctx.lineTo(x + r * 0.85, y - r * 0.6);
            ctx.stroke();
    }
}

/** Sizes a canvas for the screen's pixels and answers its context, in CSS pixels. */
export function sized(canvas, width, height) {
    const ratio = Math.min(window.devicePixelRatio || 1, 16000 / Math.max(height, 1));
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const ctx = canvas.getContext("2d");
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    return ctx;
}
