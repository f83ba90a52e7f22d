// Thousands of divisions by zero and null pointers, each of which Java finds out by a signal that it takes.
public class Null {
    static int[] array;

    public static void main(String[] arguments) {
        int caught = 0;
        for (int n = 0; n < 5000; n++) {
            try {
                caught += caught / (n - n);
            } catch (ArithmeticException e) {
                caught++;
            }
            try {
                caught += array.length;
            } catch (NullPointerException e) {
                caught++;
            }
        }
        System.out.println(caught);
    }
}
